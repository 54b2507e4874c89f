// One simulated world: two servers that die and come back, users, Stripe, and how anybody asks a server for anything.
import { classifyDatabaseError } from "../../server/database/errors.ts";
import { isAppError } from "../../server/lib/errors.ts";
import { createFaults } from "./faults.ts";
import { createNetwork, type Network } from "./network.ts";
import { createLife, type Stage } from "./process.ts";
import type { Random } from "../support/seeded-random.ts";
import { createRedis } from "./redis.ts";
import type { Scheduler } from "./scheduler.ts";
import { type Answer, type SimulatedServer, startServer } from "./server.ts";
import type { Store } from "./store.ts";
import { createStripe, type SimulatedStripe } from "./stripe.ts";
import { running } from "./environment.ts";
import { brief, type Trace } from "./trace.ts";
import { silent } from "../support/silent.ts";

/** One world. */
export interface World extends Stage {
  readonly random: Random;
  readonly store: Store;
  readonly stripe: SimulatedStripe;
  readonly network: Network;
  readonly userIds: readonly string[];
  /** One of them; the first as often as all others, so that things meet. */
  someUser(): string;
  /** One of `items`, as often the newest as any: things meet where the same is taken again. */
  recent<T>(items: readonly T[]): T;
  /** Acts on one of `items`, as `recent` takes it; not at all where there is none. */
  one<T, R>(items: readonly T[], act: (item: T) => R): R | undefined;
  /** Asks any server that is up. */
  ask<T>(what: string, work: (server: SimulatedServer) => Promise<T>): Promise<Answer<T>>;
  /** Something somebody does beside everybody else. */
  launch(work: () => Promise<void>): void;
  /** Whether somebody still waits for an answer. */
  readonly busy: boolean;
  /** Ends a server's process, if it lives. */
  kill(slot: number): void;
  /** Starts what is not running. */
  startAll(): void;
  /** A promise that was broken: the run is over. */
  broke(what: string): void;
  readonly broken: readonly string[];
  note(line: string): void;
}

const SERVERS = 2;
const USERS = 3;

/** A fresh world on an empty store. */
export function createWorld(given: {
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly trace: Trace;
  readonly store: Store;
}): World {
  const { random, scheduler, trace, store } = given;
  const faults = createFaults(random);
  const stage: Stage = { scheduler, faults, trace };
  const note = (line: string): void => trace.add(scheduler.nowMs, line);
  const broken: string[] = [];
  const redis = createRedis(stage);
  const servers: (SimulatedServer | null)[] = Array.from({ length: SERVERS }, () => null);
  const skews = servers.map(() => (random.chance(0.5) ? 0 : random.between(-2_000, 2_000)));
  let starts = 0;
  let calls = 0;
  let inFlight = 0;

  const stripe = createStripe(stage, (event) => network.announce(event));

  function start(slot: number): void {
    starts += 1;
    const life = createLife(stage, `s${slot}.${starts}`, () => {
      servers[slot] = null;
      scheduler.after(random.between(50, 5_000), null, () => {
        if (servers[slot] === null) start(slot);
      });
    });
    note(`${life.name} starts`);
    const shared = { database: store.open.database, redis, stripe, logger: silent };
    servers[slot] = startServer(stage, shared, life, skews[slot] ?? 0);
  }

  async function outcomeOf<T>(server: SimulatedServer, asked: Promise<T>): Promise<Answer<T>> {
    const answered = asked.then(
      (value): Answer<T> => ({ kind: "done", value }),
      (error: unknown): Answer<T> => {
        if (isAppError(error)) {
          if (error.code === "INTERNAL") world.broke(`INTERNAL was answered: ${wordsOf(error)}`);
          const isUnknown =
            error.code === "SERVICE_UNAVAILABLE" || error.code === "PAYMENT_PROVIDER_ERROR";
          return isUnknown ? { kind: "unknown" } : { kind: "refused", code: error.code };
        }
        // What the edge would answer 503 to; anything else would be a 500.
        const kind = classifyDatabaseError(error);
        if (kind === "other" || kind === "unique") world.broke(`a defect: ${wordsOf(error)}`);
        return { kind: "unknown" };
      },
    );
    return Promise.race([answered, server.life.death.then((): Answer<T> => ({ kind: "unknown" }))]);
  }

  const world: World = {
    ...stage,
    random,
    store,
    stripe,
    userIds: Array.from({ length: USERS }, (_, n) => `user-${n + 1}`),
    someUser: () => (random.chance(0.5) ? "user-1" : random.pick(world.userIds)),
    recent: (items) => random.pick(random.chance(0.5) ? items.slice(-1) : items),
    one: (items, act) => (items.length === 0 ? undefined : act(world.recent(items))),
    get network() {
      return network;
    },
    ask: async (what, work) => {
      calls += 1;
      const call = `#${calls}`;
      const live = servers.filter((server) => server !== null);
      const chosen = random.pick([...live, null]) ?? live[0];
      if (chosen === undefined) {
        note(`${call} ${what}: nobody is there`);
        return { kind: "refused", code: "NOBODY" };
      }
      note(`${call} ${what} -> ${chosen.life.name}`);
      const answer = await running.run(chosen.life, () => outcomeOf(chosen, work(chosen)));
      note(`${call} = ${brief(answer)}`);
      return answer;
    },
    launch: (work) => {
      inFlight += 1;
      work()
        .catch((error: unknown) => world.broke(`the simulation stumbled: ${wordsOf(error)}`))
        .finally(() => {
          inFlight -= 1;
        });
    },
    get busy() {
      return inFlight > 0;
    },
    kill: (slot) => servers[slot]?.life.die(),
    startAll: () => {
      for (const slot of servers.keys()) if (servers[slot] === null) start(slot);
    },
    broke: (what) => {
      note(`BROKEN: ${what}`);
      broken.push(what);
    },
    broken,
    note,
  };
  const network = createNetwork(world);
  world.startAll();
  return world;
}

/** An error with its causes. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : ` < ${wordsOf(error.cause)}`;
  return `${error.name} ${error.message.slice(0, 300)}${cause}\n${error.stack ?? ""}`;
}
