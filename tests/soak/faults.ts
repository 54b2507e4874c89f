// The faults that a soak inflicts on dependencies and instances; each ends on its own and restores the previous state.
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
  /** Replaces the second instance: starts a new one, then sends SIGTERM to the old one. */
  readonly roll: () => Promise<void>;
  /** Kills the second instance with SIGKILL and restarts it. */
  readonly kill: () => Promise<void>;
}

const UNAVAILABLE_MS = 5_000;
const HICCUP_MS = 150;

/** Neither fully available nor fully unavailable: frozen and thawed in turns. */
async function stutter(server: { freeze(): void; thaw(): void }): Promise<void> {
  for (let elapsedMs = 0; elapsedMs < UNAVAILABLE_MS; elapsedMs += 2 * HICCUP_MS) {
    server.freeze();
    await sleep(HICCUP_MS);
    server.thaw();
    await sleep(HICCUP_MS);
  }
}

async function freeze(
  server: { freeze(): void; thaw(): void },
  ms = UNAVAILABLE_MS,
): Promise<void> {
  server.freeze();
  await sleep(ms);
  server.thaw();
}

async function kill(server: { kill(): Promise<void>; start(): Promise<void> }): Promise<void> {
  await server.kill();
  await sleep(UNAVAILABLE_MS / 2);
  await server.start();
}

const model =
  (fault: ModelFault) =>
  async ({ sandbox }: Breakable): Promise<void> => {
    sandbox.model.control.misbehave({ fault, times: 10 });
    await sleep(UNAVAILABLE_MS);
  };

const stripe =
  (fault: "500" | "429") =>
  async ({ sandbox }: Breakable): Promise<void> => {
    sandbox.stripe.control.misbehave({ fault, times: 20 });
    await sleep(UNAVAILABLE_MS);
  };

/** The faults by name. */
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
