// Runs during a database outage: a reader keeps reading, and the producer is not taken for dead.
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, it } from "vitest";
import type { AiService } from "../../../server/ai/ai.service.ts";
import type { RunStore } from "../../../server/ai/ports.ts";
import { AppError } from "../../../server/lib/errors.ts";
import { available } from "../../support/backend.ts";
import type { Person } from "../../support/people.ts";
import { chatInput, eventsOf, runsOver, runStoreOf } from "../../support/runs-over.ts";
import { useTestApp } from "../../support/use-app.ts";

const NEVER = new AbortController().signal;
const away = () =>
  Promise.reject(AppError.of("SERVICE_UNAVAILABLE", "Away.", { retryAfterSeconds: 1 }));

describe("metered runs in an outage of the database", () => {
  const app = useTestApp({ available });
  let person: Person;
  beforeEach(async () => {
    app.sandbox.model.control.reset();
    person = await app.person();
  });
  const speed = (tokensPerSecond: number) => app.sandbox.model.control.setSpeed(tokensPerSecond);
  const read = (runs: AiService, runId: string) =>
    eventsOf(runs.stream(person.userId, { runId }, NEVER));
  const state = async (runs: AiService, runId: string) =>
    (await runs.run(person.userId, runId)).state;

  it("asks the database a few times in all while a run streams, not with each event", async () => {
    let looks = 0;
    const runs = runsOver(app, (real) => ({
      find(runId) {
        looks += 1;
        return real.find(runId);
      },
    }));
    speed(40);
    const { runId } = await runs.start(person.userId, chatInput());
    looks = 0;
    const { events, end } = await read(runs, runId);
    expect(end).toMatchObject({ outcome: "completed" });
    expect(events.length).toBeGreaterThan(50);
    expect(looks).toBeLessThan(10);
  });

  it("brings a reader the whole text and the end on the connection it has", async () => {
    let isUnavailable = false;
    let refused = 0;
    const orAway = <T>(work: () => Promise<T>) => {
      if (!isUnavailable) return work();
      refused += 1;
      return away();
    };
    const runs = runsOver(
      app,
      (real) => ({
        find: (runId) => orAway(() => real.find(runId)),
        now: () => orAway(() => real.now()),
      }),
      { keepOutputMs: 60_000 },
    );
    // So slow that the reader runs out of output and checks the run's state.
    speed(0.6);
    const { runId } = await runs.start(person.userId, chatInput());
    const reading = read(runs, runId);
    await sleep(300);
    isUnavailable = true;
    await expect.poll(() => refused, { timeout: 20_000 }).toBeGreaterThan(1);
    speed(Number.POSITIVE_INFINITY);
    await sleep(2_500);
    isUnavailable = false;
    const { text, end } = await reading;
    expect(end).toMatchObject({ outcome: "completed", charged: 5 });
    expect(text).toBe((await read(runs, runId)).text);
  });

  /** Creates a run whose lease expired while its producer had no database, and another instance that has one. */
  async function afterOutage(onLook: (heal: () => void) => Partial<RunStore>) {
    let isUnavailable = false;
    const timings = { leaseMs: 1_000, tickMs: 250 };
    const producer = runsOver(
      app,
      (real) => ({
        renewLease: (...args) => (isUnavailable ? away() : real.renewLease(...args)),
        async end(...args) {
          await sleep(500);
          return real.end(...args);
        },
      }),
      timings,
    );
    const other = runsOver(app, () => onLook(() => (isUnavailable = false)), timings);
    speed(20);
    const { runId } = await producer.start(person.userId, chatInput());
    isUnavailable = true;
    const overdue = async () => (await runStoreOf(app).abandoned(100)).map(({ id }) => id);
    await expect.poll(overdue, { timeout: 20_000 }).toContain(runId);
    return { producer, other, runId };
  }

  it("ends no run whose producer lives, though the lease ran out meanwhile", async () => {
    const { producer, other, runId } = await afterOutage((heal) => ({
      async abandoned(limit) {
        const runs = await runStoreOf(app).abandoned(limit);
        heal();
        return runs;
      },
    }));
    expect(await other.endAbandoned(NEVER)).toBe(0);
    speed(Number.POSITIVE_INFINITY);
    await expect.poll(() => state(producer, runId), { timeout: 20_000 }).toBe("completed");
  });

  it("ends no such run either where the database is away again while the job waits", async () => {
    let looks = 0;
    let isAwayAgain = false;
    const store = () => runStoreOf(app);
    const { producer, other, runId } = await afterOutage((heal) => ({
      async abandoned(limit) {
        const runs = await store().abandoned(limit);
        looks += 1;
        isAwayAgain = looks === 1;
        // It is back just before three ticks are over; the producer has had none.
        if (isAwayAgain) setTimeout(() => (isAwayAgain = false), 600);
        else heal();
        return runs;
      },
      now: () => (isAwayAgain ? away() : store().now()),
    }));
    const ended = other.endAbandoned(NEVER);
    await expect(ended).rejects.toMatchObject({ code: "SERVICE_UNAVAILABLE" });
    expect(await state(producer, runId)).toBe("running");
    expect(await other.endAbandoned(NEVER)).toBe(0);
    speed(Number.POSITIVE_INFINITY);
    await expect.poll(() => state(producer, runId), { timeout: 20_000 }).toBe("completed");
  });

  it("gives producers their ticks again where the database is away while runs are ended", async () => {
    let tries = 0;
    const { producer, other, runId } = await afterOutage((heal) => ({
      endAbandoned(run) {
        tries += 1;
        if (tries > 1) return runStoreOf(app).endAbandoned(run);
        heal();
        return away();
      },
      // As if there were two: one meets the outage, the other comes after it.
      async abandoned(limit) {
        const runs = await runStoreOf(app).abandoned(limit);
        return [...runs, ...runs];
      },
    }));
    expect(await other.endAbandoned(NEVER)).toBe(0);
    expect(tries).toBe(2);
    speed(Number.POSITIVE_INFINITY);
    await expect.poll(() => state(producer, runId), { timeout: 20_000 }).toBe("completed");
  });

  it("lets the producer stop such a run, for all it has produced", async () => {
    const { other, runId } = await afterOutage((heal) => ({
      async requestStop(id) {
        await runStoreOf(app).requestStop(id);
        heal();
      },
    }));
    expect(await other.stop(person.userId, runId)).toMatchObject({ outcome: "stopped" });
  });
});
