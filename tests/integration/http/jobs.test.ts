// A job runs on one instance at a time, when it is due, and its outcome is stored.
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import {
  createJobRunner,
  type Job,
  JobFailure,
  type JobRunnerDeps,
} from "../../../server/jobs/runner.ts";
import { createLogger } from "../../../server/lib/logger.ts";
import type { OpenedBackend } from "../../support/databases.ts";
import { available } from "../../support/backend.ts";
import { deferred } from "../../support/deferred.ts";
import { openTestApp } from "../../support/server.ts";
import { silent as logger } from "../../support/silent.ts";

const MINE = { mine: 1 };
const STOPPED = { stopped: 1 };

describe("jobs", () => {
  let opened: OpenedBackend;
  beforeAll(async () => {
    opened = await available.open();
  });
  afterAll(() => opened.close());

  function runnerOf(
    job: Partial<Job> & Pick<Job, "name" | "run">,
    settings: Pick<JobRunnerDeps, "now" | "leaseMs"> & { logger?: JobRunnerDeps["logger"] } = {},
  ) {
    return createJobRunner({
      database: opened.backend.database,
      logger,
      jobs: [{ everySeconds: 60, maxSeconds: 5, ...job }],
      ...settings,
    });
  }

  test("of ten instances that want to, one runs it", async () => {
    let running = 0;
    let most = 0;
    const run = async () => {
      running += 1;
      most = Math.max(most, running);
      await pause(200);
      running -= 1;
      return { done: 1 };
    };
    const runners = Array.from({ length: 10 }, () => runnerOf({ name: "one-at-a-time", run }));
    const outcomes = await Promise.all(runners.map((runner) => runner.runNow("one-at-a-time")));
    expect(most).toBe(1);
    expect(outcomes.filter((outcome) => outcome !== null).length).toBeGreaterThanOrEqual(1);
    expect(await runners[3]?.lastOutcome("one-at-a-time")).toMatchObject({
      ok: true,
      result: { done: 1 },
    });
  });

  test("two instances on one interval run it once per interval, and not after they are closed", async () => {
    const { jobLease } = opened.backend.database.models;
    const leaseMs = 60_000;
    const startedAtMs: number[] = [];
    const job = {
      name: "interval",
      everySeconds: 1,
      firstAfterSeconds: 0.05,
      async run() {
        const { expiresAt } = await jobLease.findUniqueOrThrow({ where: { name: "interval" } });
        startedAtMs.push(expiresAt.getTime() - leaseMs);
        return {};
      },
    };
    const runners = [runnerOf(job, { leaseMs }), runnerOf(job, { leaseMs })];
    for (const runner of runners) runner.start();
    await expect.poll(() => startedAtMs.length, { timeout: 30_000 }).toBeGreaterThanOrEqual(3);
    await Promise.all(runners.map((runner) => runner.close()));
    // At most a tenth early, by the database's clock, which is authoritative.
    for (const [index, at] of startedAtMs.slice(1).entries())
      expect(at - (startedAtMs[index] ?? at)).toBeGreaterThanOrEqual(900);
    const runs = startedAtMs.length;
    await pause(1_200);
    expect(startedAtMs).toHaveLength(runs);
  });

  test("a failure is kept with its words, and the lease is free again", async () => {
    const runner = runnerOf({
      name: "fails",
      run: () => Promise.reject(new Error("out of paper")),
    });
    expect(await runner.runNow("fails")).toMatchObject({ ok: false, result: "out of paper" });
    expect(await runner.runNow("fails")).not.toBeNull();
  });

  /** Creates an instance in the middle of a run that never ends. */
  async function deadRunner(name: string, settings?: Pick<JobRunnerDeps, "now">) {
    const { promise: begun, resolve: begin } = deferred();
    const run = () => {
      begin();
      return new Promise<never>(() => undefined);
    };
    const dead = runnerOf({ name, maxSeconds: 60, run }, settings);
    // Abandoned when all of this is long over, and the database is gone.
    void dead.runNow(name).catch(() => undefined);
    await begun;
    return dead;
  }

  test("the lease of an instance that died is taken over when its time is over", async () => {
    let aheadMs = 0;
    const dead = await deadRunner("orphan");
    const heir = runnerOf(
      { name: "orphan", run: () => Promise.resolve(MINE) },
      { now: () => Date.now() + aheadMs },
    );
    expect(await heir.runNow("orphan")).toBeNull();
    aheadMs = 31_000;
    expect(await heir.runNow("orphan")).toMatchObject({ result: MINE });
    await dead.close(100);
  });

  const YEAR_MS = 365 * 86_400_000;
  const aYearAhead = { now: () => Date.now() + YEAR_MS };
  /** Waits until an instance whose clock is right runs the job because it is due. */
  async function isRunByItself(name: string): Promise<void> {
    const run = vi.fn(() => Promise.resolve(MINE));
    const runner = runnerOf({ name, everySeconds: 1, run });
    runner.start();
    await vi.waitFor(() => expect(run).toHaveBeenCalled(), 30_000);
    await runner.close();
  }

  test("a run by a clock a year ahead does not put off the next, nor does its lease", async () => {
    const ended = { name: "ran-ahead", run: () => Promise.resolve({ early: 1 }) };
    expect(await runnerOf(ended, aYearAhead).runNow("ran-ahead")).not.toBeNull();
    await isRunByItself("ran-ahead");
    const name = "died-ahead";
    const dead = await deadRunner(name, aYearAhead);
    await isRunByItself(name);
    await dead.close(100);
  });

  test("the clock is the database's: this machine's may be wrong", async () => {
    const { jobLease } = opened.backend.database.models;
    const rightMs = Date.now();
    const now = vi.spyOn(Date, "now").mockImplementation(() => rightMs + YEAR_MS);
    try {
      await runnerOf({ name: "wrong-host", run: () => Promise.resolve({}) }).runNow("wrong-host");
    } finally {
      now.mockRestore();
    }
    const { lastRunAt } = await jobLease.findUniqueOrThrow({ where: { name: "wrong-host" } });
    expect(Math.abs((lastRunAt?.getTime() ?? 0) - rightMs)).toBeLessThan(60_000);
  });

  test("a run that does not heed it is given up: it is logged as failed, and another may begin", async () => {
    const name = "deaf";
    const deaf = runnerOf(
      { name, maxSeconds: 0.1, run: () => new Promise(() => undefined) },
      { leaseMs: 400 },
    );
    expect(await deaf.runNow(name)).toMatchObject({
      ok: false,
      result: "It did not end within 0.1 s, nor when told to.",
    });
    const heir = runnerOf({ name, run: () => Promise.resolve(MINE) });
    expect(await heir.runNow(name)).toMatchObject({ result: MINE });
  });

  const untilAborted = (signal: AbortSignal) =>
    new Promise<typeof STOPPED>((resolve) => {
      if (signal.aborted) resolve(STOPPED);
      signal.addEventListener("abort", () => resolve(STOPPED));
    });

  test("a run that takes too long is told to stop; so is one under way when the server stops", async () => {
    const slow = runnerOf({ name: "slow", maxSeconds: 0.2, run: untilAborted });
    expect(await slow.runNow("slow")).toMatchObject({ result: STOPPED });
    const { promise: begun, resolve: begin } = deferred();
    const stopping = runnerOf({
      name: "stopping",
      maxSeconds: 60,
      run: (signal) => {
        begin();
        return untilAborted(signal);
      },
    });
    const outcome = stopping.runNow("stopping");
    await begun;
    await stopping.close();
    expect(await outcome).toMatchObject({ result: STOPPED });
    // The stop arrives while the lease is still being acquired.
    const late = runnerOf({ name: "late", maxSeconds: 60, run: untilAborted });
    const lateOutcome = late.runNow("late");
    await late.close();
    expect(await lateOutcome).toMatchObject({ result: STOPPED });
  });

  test("jobs are told when a stop begins, not when the requests in flight are done", async () => {
    const server = await openTestApp({ available });
    try {
      server.app.beginShutdown();
      expect(await server.app.jobs.runNow("doctor")).toMatchObject({
        ok: false,
        result: "This operation was aborted",
      });
    } finally {
      await server.close();
    }
  });

  test.each([
    ["ends", untilAborted],
    [
      "fails",
      (signal: AbortSignal) =>
        untilAborted(signal).then(() => Promise.reject(new Error("stopped"))),
    ],
  ])(
    "a run that %s because the server stops does not count: the job is as due as before",
    async (how, run) => {
      const { jobLease } = opened.backend.database.models;
      const name = `cut-short-${how}`;
      await runnerOf({ name, run: () => Promise.resolve(MINE) }).runNow(name);
      // An hour ago, so that it is due.
      const ranAt = new Date(Date.now() - 3_600_000);
      await jobLease.update({ where: { name }, data: { lastRunAt: ranAt } });
      const { promise: begun, resolve: begin } = deferred();
      const hourly: Job = {
        ...{ name, everySeconds: 3_600, maxSeconds: 60, firstAfterSeconds: 0.01 },
        run(signal) {
          begin();
          return run(signal);
        },
      };
      const ownLogger = createLogger({ level: "silent" });
      const [info, error] = [vi.spyOn(ownLogger, "info"), vi.spyOn(ownLogger, "error")];
      const stopping = runnerOf(hourly, { logger: ownLogger });
      stopping.start();
      await begun;
      await stopping.close();
      expect(await jobLease.findUniqueOrThrow({ where: { name } })).toMatchObject({
        holder: null,
        lastRunAt: ranAt,
      });
      expect(await stopping.lastOutcome(name)).toMatchObject({ result: MINE });
      expect(info.mock.calls.map(([, words]) => words)).toEqual(["job stopped with the server"]);
      expect(error).not.toHaveBeenCalled();
      await isRunByItself(name);
    },
  );

  test("an instance that comes when a job is nearly due runs it when it is", async () => {
    const name = "nearly-due";
    const run = vi.fn(() => Promise.resolve(MINE));
    const job = { name, run, everySeconds: 15, firstAfterSeconds: 0.01 };
    await runnerOf(job, { now: () => Date.now() - 13_000 }).runNow(name);
    const next = runnerOf(job, { now: Date.now });
    next.start();
    // Waiting for a whole interval would make it 13 s late.
    await vi.waitFor(() => expect(run).toHaveBeenCalledTimes(2), 10_000);
    await next.close();
  });

  test("a job that never went well is as old as its first run, whatever has become of who ran it", async () => {
    const name = "never-well";
    const run = () => Promise.reject(new Error("out of paper"));
    const days = (ago: number) => ({ now: () => Date.now() - ago * 86_400_000 });
    for (const ago of [3, 2, 1]) await runnerOf({ name, run }, days(ago)).runNow(name);
    const [standing] = await runnerOf({ name, run }, days(0)).jobStatuses();
    expect(Math.abs((standing?.ageSeconds ?? 0) - 3 * 86_400)).toBeLessThan(60);
  });

  test("a failure's figures are kept, and so is how far the last run was behind", async () => {
    const name = "behind";
    const figures = { rows: 3, lagSeconds: 7_200 };
    const runner = runnerOf({ name, run: () => Promise.reject(new JobFailure("slow", figures)) });
    expect(await runner.jobStatuses()).toEqual([{ job: name, ageSeconds: null, lagSeconds: 0 }]);
    expect(await runner.runNow(name)).toMatchObject({ ok: false, result: figures });
    expect(await runner.jobStatuses()).toMatchObject([{ job: name, lagSeconds: 7_200 }]);
    // A run on any instance counts, for all of them.
    await runnerOf({ name, run: () => Promise.resolve({ lagSeconds: 0 }) }).runNow(name);
    const [standing] = await runner.jobStatuses();
    expect(standing).toMatchObject({ job: name, lagSeconds: 0 });
    expect(standing?.ageSeconds).toBeLessThan(60);
  });
});
