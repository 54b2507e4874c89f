// Runs whose database fails at the worst moment: at the COMMIT of the start, while a run is settled, and in the job
// that ends runs of dead producers. The store is real, but single calls of it are made to fail, wait or lose their
// answer.
import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, it } from "vitest";
import type { RunTimings } from "../../../server/ai/ai.types.ts";
import type { RunStore } from "../../../server/ai/ports.ts";
import { createRunStore } from "../../../server/ai/runs.store.ts";
import type { PrismaModels } from "../../../server/database/ports.ts";
import { AppError } from "../../../server/lib/errors.ts";
import { available } from "../../support/backend.ts";
import { deferred } from "../../support/deferred.ts";
import type { Person } from "../../support/people.ts";
import { chatInput as input, type Faults, runsOver, runStoreOf } from "../../support/runs-over.ts";
import { useTestApp } from "../../support/use-app.ts";

const NEVER = new AbortController().signal;
const LONG_AGO = new Date(0);
const newRunId = () => `run_${randomBytes(16).toString("hex")}`;

describe("metered runs over a failing store", () => {
  const server = useTestApp({ available });
  let person: Person;
  beforeEach(async () => {
    server.sandbox.model.control.reset();
    server.sandbox.model.control.setSpeed(Number.POSITIVE_INFINITY);
    person = await server.person();
  });

  const models = () => server.models;
  const storeAt = (now: () => number) => runStoreOf(server, now);
  const serviceOver = (faults: Faults, timings?: Partial<RunTimings>) =>
    runsOver(server, faults, timings);
  const balance = () => server.client(person.accessToken).credit.balance.query();
  /** Inserts rows of runs without a producer, and without a hold, as if it had expired. */
  async function insertDeadRuns(count: number): Promise<string[]> {
    const ids = Array.from({ length: count }, () => newRunId());
    await models().aiRun.createMany({
      data: ids.map((id, index) => ({
        id,
        userId: person.userId,
        feature: "chat-pro",
        inputHash: "none",
        holdId: id.slice(4),
        heldCredits: 5,
        state: "running",
        // Ordered, so that the first ones are also the first that the job checks.
        leaseExpiresAt: new Date(LONG_AGO.getTime() + index * 1_000),
        createdAt: LONG_AGO,
      })),
    });
    return ids;
  }
  const stillRunning = (ids: string[]) =>
    models().aiRun.count({ where: { id: { in: ids }, state: "running" } });

  it("renews the lease of a run until it is settled, however long that takes", async () => {
    const { promise: settling, resolve: settle } = deferred();
    let isEnding = false;
    let renewals = 0;
    const ai = serviceOver((real) => ({
      renewLease(runId, lease) {
        if (isEnding) renewals += 1;
        return real.renewLease(runId, lease);
      },
      async end(run, ending) {
        isEnding = true;
        await settling;
        return real.end(run, ending);
      },
    }));
    const { runId } = await ai.start(person.userId, input());
    await expect.poll(() => isEnding, { timeout: 20_000 }).toBe(true);
    await expect.poll(() => renewals, { timeout: 20_000 }).toBeGreaterThanOrEqual(3);
    const listed = await storeAt(Date.now).abandoned(100);
    expect(listed.map(({ id }) => id)).not.toContain(runId);
    settle();
    await expect
      .poll(async () => (await ai.run(person.userId, runId)).state, { timeout: 20_000 })
      .toBe("completed");
    expect(await balance()).toMatchObject({ credits: 95, held: 0 });
  });

  it("gives up on a run that cannot be settled, forgets its output, and leaves it to the job", async () => {
    const ai = serviceOver(
      () => ({
        end: () => Promise.reject(new Error("the disk is full")),
      }),
      { leaseMs: 1_500 },
    );
    const { runId } = await ai.start(person.userId, input());
    await expect.poll(() => ai.activeRuns, { timeout: 20_000 }).toBe(0);
    const { runOutput } = server.backend;
    await expect
      .poll(async () => (await runOutput.read(runId, 0)).isProducer, { timeout: 20_000 })
      .toBe(false);
    await expect.poll(() => ai.endAbandoned(NEVER), { timeout: 20_000 }).toBe(1);
    expect(await ai.run(person.userId, runId)).toMatchObject({ state: "failed" });
    expect((await balance()).held).toBe(0);
  });

  it("ends every run of dead producers in one go, past one that cannot be ended", async () => {
    const ids = await insertDeadRuns(110);
    const [stuck] = ids;
    const ai = serviceOver((real) => ({
      endAbandoned: (run) =>
        run.id === stuck
          ? Promise.reject(new Error("this row is damaged"))
          : real.endAbandoned(run),
    }));
    expect(await ai.endAbandoned(NEVER)).toBe(109);
    expect(await stillRunning(ids)).toBe(1);
    expect(await serviceOver(() => ({})).endAbandoned(NEVER)).toBe(1);
  }, 180_000);

  it("ends the run of a dead producer for whoever stops it", async () => {
    const [id = ""] = await insertDeadRuns(1);
    const stopped = await serviceOver(() => ({})).stop(person.userId, id);
    expect(stopped).toEqual({ outcome: "failed", charged: 0, balance: 100 });
  });

  it("ends no run whose producer renews the lease at that moment: either is late, and learns of it", async () => {
    const [id = ""] = await insertDeadRuns(1);
    const producer = storeAt(Date.now);
    const renewals: Promise<string>[] = [];
    const store = createRunStore({
      database: server.backend.database,
      ledger: {
        changed: server.ledger.changed,
        // After the lease was looked at, and before the run is ended.
        async applyIn(tx, operations) {
          renewals.push(producer.renewLease(id, { leaseMs: 20_000, producedCredits: 1 }));
          await Promise.race([...renewals, sleep(500)]);
          return server.ledger.applyIn(tx, operations);
        },
      },
      now: Date.now,
    });
    const run = await store.find(id);
    if (run === null) throw new Error("no run");
    expect(await store.endAbandoned(run)).toMatchObject({ outcome: "failed" });
    expect(await Promise.all(renewals)).toEqual(["ended"]);
  });

  it("stops the job where not one of a full round can be ended", async () => {
    const ids = await insertDeadRuns(100);
    let looks = 0;
    const locked = (real: RunStore): Partial<RunStore> => ({
      abandoned(limit) {
        looks += 1;
        return real.abandoned(limit);
      },
      endAbandoned: () =>
        Promise.reject(AppError.of("SERVICE_UNAVAILABLE", "Locked.", { retryAfterSeconds: 1 })),
    });
    const ai = serviceOver(locked, { tickMs: 1 });
    expect(await ai.endAbandoned(NEVER)).toBe(0);
    expect(looks).toBe(1);
    await models().aiRun.deleteMany({ where: { id: { in: ids } } });
  });

  it.each([
    ["an hour slow", -3_600_000],
    ["an hour fast", 3_600_000],
  ])("measures leases by the database's clock where an instance's is %s", async (_how, offMs) => {
    const off = storeAt(() => Date.now() + offMs);
    const order = {
      runId: newRunId(),
      userId: person.userId,
      feature: "chat-pro" as const,
      inputHash: "none",
      priceCredits: 5,
      priceVersion: "test",
      maxConcurrent: 10,
      holdSeconds: 600,
      leaseMs: 20_000,
    };
    const { run } = await off.create(order);
    for (const renewed of [false, true]) {
      if (renewed) await off.renewLease(run.id, { leaseMs: 20_000, producedCredits: 1 });
      for (const store of [off, storeAt(Date.now)]) {
        expect((await store.abandoned(100)).map(({ id }) => id)).not.toContain(run.id);
        expect(await store.endAbandoned(run)).toBeNull();
      }
    }
    await models().aiRun.update({
      where: { id: run.id },
      data: { leaseExpiresAt: new Date(Date.now() - 60_000) },
    });
    expect((await off.abandoned(100)).map(({ id }) => id)).toContain(run.id);
    expect(await off.endAbandoned(run)).toMatchObject({ outcome: "failed", charged: 1 });
  });

  it("refuses a key whose run was forgotten, and holds nothing for it", async () => {
    const ai = serviceOver(() => ({}));
    const { runId } = await ai.start(person.userId, input("old"));
    await expect
      .poll(async () => (await ai.run(person.userId, runId)).state, { timeout: 20_000 })
      .toBe("completed");
    await models().aiRun.delete({ where: { id: runId } });
    const asked = server.sandbox.model.control.requests;
    await expect(ai.start(person.userId, input("old"))).rejects.toMatchObject({
      code: "IDEMPOTENCY_CONFLICT",
    });
    expect(server.sandbox.model.control.requests).toBe(asked);
    expect(await balance()).toMatchObject({ credits: 95, held: 0 });
  });

  it("ends a run whose start outlives the stop, before the stop is over", async () => {
    const [created, answered] = [deferred(), deferred()];
    const ai = serviceOver((real) => ({
      async create(order) {
        const made = await real.create(order);
        created.resolve();
        await answered.promise;
        return made;
      },
    }));
    server.sandbox.model.control.setSpeed(1);
    const start = ai.start(person.userId, input());
    await created.promise;
    const stop = ai.close();
    answered.resolve();
    const { runId } = await start;
    await stop;
    expect(await ai.run(person.userId, runId)).toMatchObject({
      state: "failed",
      code: "SERVICE_UNAVAILABLE",
    });
    expect(await balance()).toMatchObject({ credits: 100, held: 0 });
  });

  /** A store whose first COMMIT succeeds but is not answered, and which records the balances it publishes. */
  function losingAnAnswer() {
    const { database } = server.backend;
    let lost = 0;
    const announced: string[] = [];
    const store = createRunStore({
      database: {
        ...database,
        // `dialect` and `models` may be accessors, so they are copied explicitly.
        dialect: database.dialect,
        models: database.models,
        async transaction(work) {
          const done = await database.transaction(work);
          lost += 1;
          if (lost === 1)
            throw AppError.of("SERVICE_UNAVAILABLE", "Lost.", { retryAfterSeconds: 1 });
          return done;
        },
      },
      ledger: {
        applyIn: server.ledger.applyIn,
        changed: (userIds) => Promise.resolve(void announced.push(...userIds)),
      },
      now: Date.now,
    });
    return { store, announced };
  }

  it("tells of a charge for a dead producer's run whose COMMIT took effect without an answer", async () => {
    const [id = ""] = await insertDeadRuns(1);
    const { store, announced } = losingAnAnswer();
    const run = await store.find(id);
    if (run === null) throw new Error("no run");
    await expect(store.endAbandoned(run)).rejects.toMatchObject({ code: "SERVICE_UNAVAILABLE" });
    expect(await stillRunning([id])).toBe(0);
    expect(announced).toEqual([person.userId]);
  });

  it("produces a run whose start's COMMIT took effect without an answer", async () => {
    const { store, announced } = losingAnAnswer();
    const ai = serviceOver(() => store);
    const { runId, replayed } = await ai.start(person.userId, input());
    expect(replayed).toBe(false);
    expect(announced).toEqual([person.userId]);
    await expect
      .poll(async () => (await ai.run(person.userId, runId)).state, { timeout: 20_000 })
      .toBe("completed");
    expect(await balance()).toMatchObject({ credits: 95, held: 0 });
  });

  it("completes a run whose database is away for a moment when it ends", async () => {
    const { database } = server.backend;
    let refused = 0;
    const ask = async (sql: string, ...values: unknown[]) => {
      if (refused > 0) return database.models.$queryRawUnsafe(sql, ...values);
      refused += 1;
      throw Object.assign(new Error("connect"), { code: "ECONNREFUSED" });
    };
    const faulty = createRunStore({
      database: {
        ...database,
        dialect: database.dialect,
        models: Object.create(database.models, {
          $queryRawUnsafe: { value: ask },
        }) as PrismaModels,
      },
      ledger: server.ledger,
      now: Date.now,
    });
    const ai = serviceOver(() => ({ end: faulty.end }));
    const { runId } = await ai.start(person.userId, input());
    await expect
      .poll(async () => (await ai.run(person.userId, runId)).state, { timeout: 20_000 })
      .toBe("completed");
    expect(refused).toBe(1);
    expect(await balance()).toMatchObject({ credits: 95, held: 0 });
  });

  it("writes down what a slide is worth with the slide, one figure at a time", async () => {
    const worth: number[] = [];
    let inFlight = 0;
    let most = 0;
    const record = (real: RunStore): Partial<RunStore> => ({
      async renewLease(runId, lease) {
        worth.push(lease.producedCredits);
        most = Math.max(most, (inFlight += 1));
        // If the second figure did not wait for the first, the first would be written last.
        await sleep(worth.length === 1 ? 500 : 0);
        return real.renewLease(runId, lease).finally(() => (inFlight -= 1));
      },
    });
    const ai = serviceOver(record, { leaseMs: 60_000, tickMs: 60_000 });
    server.sandbox.model.control.setSpeed(200);
    const { runId } = await ai.start(person.userId, {
      feature: "ppt-generate",
      topic: "Tides",
      slideCount: 5,
      idempotencyKey: randomUUID(),
    });
    await expect
      .poll(async () => (await ai.run(person.userId, runId)).state, { timeout: 20_000 })
      .toBe("completed");
    expect(worth[0]).toBe(2);
    expect(worth.length).toBeGreaterThan(1);
    expect(most).toBe(1);
  });
});
