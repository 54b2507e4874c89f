// The rows about large books: the doctor, reads by administrators and users, and spends while jobs clean up a year.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { createApp } from "../../server/app.ts";
import { parseConfig } from "../../server/config/parse-config.ts";
import { deleteExpired, RETENTIONS } from "../../server/jobs/retention.ts";
import { createRetentionStore } from "../../server/jobs/retention.store.ts";
import { rollCredits, rollUsage } from "../../server/jobs/roll-ups.ts";
import { createCreditTotalsStore } from "../../server/ledger/totals/credit-totals.store.ts";
import { createUsageTotalsStore } from "../../server/ledger/totals/usage-totals.store.ts";
import { buildServer } from "./built.ts";
import { memoryOf } from "./cpu.ts";
import { forSeconds, type Latencies, latenciesOf, type Measured, summarise } from "./load.ts";
import { productionEnv } from "./production.ts";
import type { Report } from "./report.ts";
import { fillScale, SIZES, userIdOf } from "./scale-data.ts";
import {
  createBenchEnvironment,
  type Instance,
  openInstance,
  type Place,
  spendOf,
} from "./world.ts";
import { silent as logger } from "../support/silent.ts";

const SIZE = process.env["FULL"] === "1" ? SIZES.full : SIZES.small;
const CALLS = 40;
const SPENDERS = 8;
const SPENDS_BETWEEN = 1_000;
/** Spends alone and spends beside a job alternate, so that whatever else slows the machine affects both. */
const JOB_TURNS = 4;
const DAY_MS = 86_400_000;

/** Measures scale.doctor, scale.jobs and scale.admin on one set of books. */
export async function benchBooks(report: Report, seconds: number): Promise<void> {
  const place = await createBenchEnvironment("mysql");
  if (place === null) return report.say("books: no MySQL or MariaDB answers here");
  const instance = await openInstance(place);
  try {
    const startedAt = performance.now();
    const { users, entries, keys } = await fillScale(instance, SIZE);
    const took = ((performance.now() - startedAt) / 1000).toFixed(0);
    report.say(`books: ${users} users, ${entries} entries, ${keys} keys made in ${took} s`);
    await benchDoctor(report, place, { instance, entries });
    await benchJobs(report, instance, seconds);
    await purged(instance);
    await benchReads(report, place, instance);
  } finally {
    await instance.close();
    await place.drop();
  }
}

const anyUser = () => userIdOf(1 + Math.floor(Math.random() * SIZE.users));

async function benchDoctor(
  report: Report,
  place: Place,
  { instance, entries }: { instance: Instance; entries: number },
): Promise<void> {
  const built = buildServer();
  try {
    const command = built.file("server/cli/commands/doctor");
    const whole = await runDoctor(place, [command, "--full"]);
    for (let n = 0; n < SPENDS_BETWEEN; n += SPENDERS)
      await Promise.all(
        Array.from({ length: SPENDERS }, () => instance.ledger.submit(spendOf(anyUser()))),
      );
    const next = await runDoctor(place, [command]);
    const say = ({ seconds, peakMb }: DoctorRun) => `${seconds.toFixed(1)} s, ${peakMb} MB at most`;
    report.add("scale.doctor.full", asRow(whole, entries), null, `whole: ${say(whole)}`);
    report.add(
      "scale.doctor",
      asRow(next, entries),
      next.seconds / whole.seconds,
      `after ${SPENDS_BETWEEN} spends: ${say(next)}; entries a second, time against the whole`,
    );
  } finally {
    built.drop();
  }
}

interface DoctorRun {
  readonly seconds: number;
  readonly peakMb: number;
}

const asRow = ({ seconds }: DoctorRun, entries: number) => ({
  opsPerSecond: entries / seconds,
  p50Ms: seconds * 1000,
  p99Ms: seconds * 1000,
});

/** Runs `npm run doctor` as production does. Throws with its output if it finds anything wrong. */
async function runDoctor(place: Place, command: readonly string[]): Promise<DoctorRun> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, command, {
    env: { ...process.env, ...productionEnv(place) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (text) => (output = `${output}${text}`.slice(-2_000)));
  let peakKb = 0;
  const look = () => (peakKb = Math.max(peakKb, memoryOf(child.pid, "VmHWM") ?? 0));
  const watch = setInterval(look, 50);
  const [code] = (await once(child, "exit")) as [number | null];
  clearInterval(watch);
  if (code !== 0) throw new Error(`The doctor ended with ${code}: ${output}`);
  return {
    seconds: (performance.now() - startedAt) / 1000,
    peakMb: Math.round(peakKb / 1024),
  };
}

/** Measures spends while each job has work to do, alternating with spends just before it. */
async function benchJobs(report: Report, instance: Instance, seconds: number): Promise<void> {
  const { database } = instance.backend;
  const store = createRetentionStore(database);
  const credits = createCreditTotalsStore(database);
  const usage = createUsageTotalsStore(database);
  const now = Date.now;
  type Work = (signal: AbortSignal) => Promise<unknown>;
  const jobs: [name: string, work: Work][] = [
    ["roll-up-credits", (signal) => rollCredits({ credits, now }, signal)],
    ["roll-up-usage", (signal) => rollUsage({ usage, now }, signal)],
    ...RETENTIONS.map((retention): [string, Work] => [
      retention.job,
      (signal) => deleteExpired({ store, now }, retention, signal),
    ]),
  ];
  const ratios: string[] = [];
  let worst: { ratio: number; measured: Measured } | undefined;
  const spends = (isOver: () => boolean) => spendUntil(instance, seconds / JOB_TURNS, isOver);
  await spends(() => false);
  for (const [name, work] of jobs) {
    const alone: Latencies[] = [];
    const beside: Latencies[] = [];
    let isDone = false;
    for (let turn = 0; turn < JOB_TURNS && !isDone; turn += 1) {
      alone.push(await spends(() => false));
      const stop = new AbortController();
      const running = work(stop.signal).finally(() => (isDone = !stop.signal.aborted));
      beside.push(await spends(() => isDone));
      stop.abort();
      await running;
    }
    const measured = summariseAll(beside);
    if (measured.operations === 0) continue;
    const ratio = measured.p99Ms / summariseAll(alone).p99Ms;
    ratios.push(`${name} ${ratio.toFixed(2)}`);
    if (worst === undefined || ratio > worst.ratio) worst = { ratio, measured };
  }
  if (worst !== undefined)
    report.add("scale.jobs", worst.measured, worst.ratio, `p99 of spends: ${ratios.join(", ")}`);
  report.say(
    "books: finishing the roll-ups at their own pace; full-size books take ten minutes and more",
  );
  // Finish the jobs that were cut short: the reads are about books whose totals are up to date.
  for (const [, work] of jobs.slice(0, 2)) await work(new AbortController().signal);
}

const summariseAll = (turns: readonly Latencies[]): Measured =>
  summarise(
    turns.flatMap(({ latencies }) => latencies),
    turns.reduce((sum, { seconds }) => sum + seconds, 0),
  );

function spendUntil(
  instance: Instance,
  seconds: number,
  isOver: () => boolean,
): Promise<Latencies> {
  const isInTime = forSeconds(seconds);
  return latenciesOf({
    inFlight: SPENDERS,
    shouldContinue: () => isInTime() && !isOver(),
    work: () => instance.ledger.submit(spendOf(anyUser())),
  });
}

const FEW_OLD_VERSIONS = 1_000;
const PURGE_LIMIT_MS = 300_000;

/** Waits until the server has purged the old versions of rows that the jobs changed: that occupies one of two cores. */
async function purged({ backend }: Instance): Promise<void> {
  const isOver = () =>
    backend.database.rawTransaction(async (session) => {
      const [row] = await session.query<{ versions: unknown }>(
        "SELECT `COUNT` AS versions FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rseg_history_len'",
        [],
      );
      return Number(row?.versions) < FEW_OLD_VERSIONS;
    });
  for (const startedAt = performance.now(); !(await isOver()); await sleep(1_000))
    if (performance.now() - startedAt > PURGE_LIMIT_MS) return;
}

/** Measures with a single sequential caller how long an administrator and the users with the longest books wait. */
async function benchReads(report: Report, place: Place, instance: Instance): Promise<void> {
  const config = parseConfig(productionEnv(place));
  const app = createApp({ config, backend: instance.backend, logger });
  const { admin, credit, user } = app.services;
  const busiest = userIdOf(1);
  const daysAgo = (days: number) => new Date(Date.now() - days * DAY_MS).toISOString();
  const reads: Record<string, () => Promise<unknown>> = {
    "admin.users": () => admin.users({ limit: 50 }),
    "admin.users search": () => admin.users({ limit: 50, search: "grace" }),
    "admin.users rare search": () => admin.users({ limit: 50, search: `ada${SIZE.users}` }),
    "admin.user": () => admin.user({ userId: anyUser() }),
    "admin.user busiest": () => admin.user({ userId: busiest }),
    "admin.events": () => admin.events({ limit: 50 }),
    "admin.stats": () => admin.stats({}),
    "admin.stats year": () => admin.stats({ from: daysAgo(365) }),
    "credit.balance": () => credit.balance(busiest),
    "credit.history": () => credit.history(busiest, { limit: 100 }),
    "credit.history by type": () => credit.history(busiest, { limit: 100, type: "SIGNUP" }),
    "credit.history far back": () => credit.history(busiest, { limit: 100, offset: 10_000 }),
    "credit.usage": () => credit.usage(busiest, { timeZone: "UTC" }),
    "credit.usage year": () => credit.usage(busiest, { from: daysAgo(365), timeZone: "UTC" }),
    "user.profile": () => user.profile({ userId: busiest, sessionId: "bench", role: "USER" }),
  };
  const p99s: [name: string, ms: number][] = [];
  let worst: Measured | undefined;
  try {
    for (const [name, read] of Object.entries(reads)) {
      await read();
      let left = CALLS;
      const taken = await latenciesOf({
        inFlight: 1,
        shouldContinue: () => left-- > 0,
        work: read,
      });
      const measured = summarise(taken.latencies, taken.seconds);
      p99s.push([name, measured.p99Ms]);
      if (worst === undefined || measured.p99Ms > worst.p99Ms) worst = measured;
    }
  } finally {
    await app.close();
  }
  p99s.sort(([, one], [, other]) => other - one);
  const slowest = p99s.slice(0, 5).map(([name, ms]) => `${name} ${ms.toFixed(0)}`);
  report.say(p99s.map(([name, ms]) => `  ${name.padEnd(26)}${ms.toFixed(1)} ms`).join("\n"));
  if (worst !== undefined)
    report.add("scale.admin", worst, null, `p99 in ms, the slowest: ${slowest.join(", ")}`);
}
