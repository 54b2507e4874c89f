// What befalls the neighbours and instances of a soak; each fault ends by itself, and leaves everything as it was.
import { setTimeout as sleep } from "node:timers/promises";
import type { ModelFault } from "../../server/sandbox/src/model/misbehaviour.ts";
import type { Sandbox } from "../../server/sandbox/src/sandbox.ts";
import type { SqlServer } from "../support/engines/sql-server.ts";
import type { RedisServer } from "../support/redis-server.ts";

/** What can be broken. */
export interface Breakable {
  readonly database: SqlServer;
  readonly redis: RedisServer;
  readonly sandbox: Sandbox;
  /** Rolls the second instance: a new one first, then SIGTERM. */
  readonly roll: () => Promise<void>;
  /** SIGKILL of the second instance, and its start. */
  readonly kill: () => Promise<void>;
}

const AWAY_MS = 5_000;
const HICCUP_MS = 150;

/** Neither quite there nor away: stopped and let go by turns. */
async function stutter(server: { freeze(): void; thaw(): void }): Promise<void> {
  for (let elapsedMs = 0; elapsedMs < AWAY_MS; elapsedMs += 2 * HICCUP_MS) {
    server.freeze();
    await sleep(HICCUP_MS);
    server.thaw();
    await sleep(HICCUP_MS);
  }
}

async function freeze(server: { freeze(): void; thaw(): void }, ms = AWAY_MS): Promise<void> {
  server.freeze();
  await sleep(ms);
  server.thaw();
}

async function kill(server: { kill(): Promise<void>; start(): Promise<void> }): Promise<void> {
  await server.kill();
  await sleep(AWAY_MS / 2);
  await server.start();
}

const model =
  (fault: ModelFault) =>
  async ({ sandbox }: Breakable): Promise<void> => {
    sandbox.model.control.misbehave({ fault, times: 10 });
    await sleep(AWAY_MS);
  };

const stripe =
  (fault: "500" | "429") =>
  async ({ sandbox }: Breakable): Promise<void> => {
    sandbox.stripe.control.misbehave({ fault, times: 20 });
    await sleep(AWAY_MS);
  };

/** Each fault by its name. */
export const FAULTS: Readonly<Record<string, (broken: Breakable) => Promise<void>>> = {
  "redis frozen": ({ redis }) => freeze(redis),
  "redis slow": ({ redis }) => stutter(redis),
  "redis killed": ({ redis }) => kill(redis),
  "database frozen": ({ database }) => freeze(database, 2_000),
  "database slow": ({ database }) => stutter(database),
  "database killed": ({ database }) => kill(database),
  "stripe answers 500": stripe("500"),
  "stripe answers 429": stripe("429"),
  "model answers 429": model("rateLimit"),
  "model cuts": model("cut"),
  "model stalls": model("stall"),
  "instance rolled": ({ roll }) => roll(),
  "instance killed": ({ kill: killInstance }) => killInstance(),
};
