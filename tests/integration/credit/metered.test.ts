// Shows meteredProcedure: what every way a call can end costs, how many may run, and that the abort reaches the handler.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import type { MeterReading } from "../../../server/credit/meter.ts";
import { meteredProcedure } from "../../../server/trpc/metered.ts";
import { streamOf } from "../../../server/trpc/stream.ts";
import { createCallerFactory, router, toAppError } from "../../../server/trpc/trpc.ts";
import { type CreditWorld, openCreditWorld } from "../../support/credit-world.ts";
import { availableBackends } from "../../support/databases.ts";

type Handler = (meter: MeterReading) => Promise<string>;
type Streamer = (meter: MeterReading) => AsyncGenerator<string, void, void>;

/** Two AI features as a developer would add them; what they do is the test's. */
function features(handler: Handler, streamer: Streamer) {
  return router({
    once: meteredProcedure("ppt-generate")
      .input(z.strictObject({ topic: z.string().min(1) }))
      .output(z.string())
      .mutation(({ ctx }) => handler(ctx.meter)),
    stream: meteredProcedure("ppt-generate")
      .output(streamOf(z.string()))
      .mutation(({ ctx }) => streamer(ctx.meter)),
  });
}

const unused: Handler = () => Promise.reject(new Error("unused"));
async function* silent(): AsyncGenerator<string, void, void> {}

describe.each(await availableBackends())("metered calls on $name", (available) => {
  let world: CreditWorld;
  beforeAll(async () => {
    world = await openCreditWorld(available);
  });
  afterAll(() => world.close());

  function callerOf(userId: string, handler: Handler, streamer: Streamer, signal?: AbortSignal) {
    const create = createCallerFactory(features(handler, streamer));
    return create(world.context({ userId }), signal === undefined ? {} : { signal });
  }

  /** Credits, held, and the usage rows; once the hold has ended. */
  async function outcome(userId: string) {
    const { models } = world.backend.database;
    for (let tries = 0; tries < 100; tries += 1) {
      const user = await models.user.findUniqueOrThrow({ where: { id: userId } });
      if (user.heldCredits === 0) {
        const usage = await models.usageLog.findMany({ where: { userId } });
        return {
          credits: user.credits,
          usage: usage.map(({ credits, success, error, model }) => ({
            credits,
            success,
            error,
            model,
          })),
        };
      }
      await sleep(20);
    }
    throw new Error("the hold did not end");
  }

  test("a call that answers costs its price and leaves a usage row", async () => {
    const userId = await world.user(30);
    const caller = callerOf(
      userId,
      async (meter) => {
        meter.usedModel("gemini-pro");
        const { heldCredits } = await world.backend.database.models.user.findUniqueOrThrow({
          where: { id: userId },
        });
        return `held ${heldCredits} of ${meter.priceCredits}`;
      },
      silent,
    );
    expect(await caller.once({ topic: "x" })).toBe("held 10 of 10");
    expect(await outcome(userId)).toEqual({
      credits: 20,
      usage: [{ credits: 10, success: true, error: null, model: "gemini-pro" }],
    });
  });

  test("who is short is refused before any work", async () => {
    const userId = await world.user(9);
    let worked = false;
    const caller = callerOf(
      userId,
      () => {
        worked = true;
        return Promise.resolve("");
      },
      silent,
    );
    const error = await caller.once({ topic: "x" }).catch(toAppError);
    expect(error).toMatchObject({ code: "INSUFFICIENT_CREDITS" });
    expect(worked).toBe(false);
    expect(await outcome(userId)).toEqual({ credits: 9, usage: [] });
  });

  test("a failure before any output is free, one after it costs what was produced", async () => {
    const free = await world.user(30);
    const broken = callerOf(free, () => Promise.reject(new TypeError("provider")), silent);
    await expect(broken.once({ topic: "x" })).rejects.toThrow();
    expect(await outcome(free)).toEqual({
      credits: 30,
      usage: [{ credits: 0, success: false, error: "TypeError", model: null }],
    });

    const partly = await world.user(30);
    const half = callerOf(partly, unused, async function* (meter) {
      yield "one";
      meter.produced(3.2);
      yield "two";
      throw new Error("provider");
    });
    const got: string[] = [];
    const reading = (async () => {
      for await (const part of await half.stream()) got.push(part);
    })();
    await expect(reading).rejects.toThrow();
    expect(got).toEqual(["one", "two"]);
    expect(await outcome(partly)).toMatchObject({
      credits: 26,
      usage: [{ credits: 4, success: false }],
    });
  });

  test("a stream read to its end costs the price", async () => {
    const userId = await world.user(30);
    const caller = callerOf(userId, unused, async function* () {
      yield "a";
      yield "b";
    });
    const got: string[] = [];
    for await (const part of await caller.stream()) got.push(part);
    expect(got).toEqual(["a", "b"]);
    expect(await outcome(userId)).toMatchObject({ credits: 20, usage: [{ credits: 10 }] });
  });

  test("a client that leaves a stream pays for what was produced, at least 1, and the provider is told", async () => {
    const userId = await world.user(30);
    const client = new AbortController();
    let told = false;
    const caller = callerOf(
      userId,
      unused,
      async function* (meter) {
        meter.signal.addEventListener("abort", () => {
          told = true;
        });
        for (let n = 0; !meter.signal.aborted; n += 1) {
          yield `part ${n}`;
          await sleep(5);
        }
      },
      client.signal,
    );
    for await (const part of await caller.stream()) {
      if (part !== "part 2") continue;
      client.abort();
      break;
    }
    expect(await outcome(userId)).toEqual({
      credits: 29,
      usage: [{ credits: 1, success: false, error: "aborted", model: null }],
    });
    expect(told).toBe(true);
  });

  test("a stream that nobody reads, left before its first part, is free", async () => {
    const userId = await world.user(30);
    const client = new AbortController();
    const caller = callerOf(
      userId,
      unused,
      async function* () {
        yield "never read";
      },
      client.signal,
    );
    await caller.stream();
    client.abort();
    expect(await outcome(userId)).toMatchObject({ credits: 30, usage: [{ credits: 0 }] });
  });

  test("bad input costs nothing", async () => {
    const userId = await world.user(30);
    const caller = callerOf(userId, unused, silent);
    const error = await caller.once({ topic: "" }).catch(toAppError);
    expect(error).toMatchObject({ code: "VALIDATION_FAILED" });
    expect((await outcome(userId)).credits).toBe(30);
  });

  test("ten may run at once; the eleventh is refused, over all instances", async () => {
    const userId = await world.user(1_000);
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const caller = callerOf(userId, () => gate.then(() => "done"), silent);
    const outcomes = Array.from({ length: 11 }, () =>
      caller.once({ topic: "x" }).catch((error: unknown) => toAppError(error).code),
    );
    const refused = await Promise.race(outcomes);
    open();
    expect(refused).toBe("RATE_LIMITED");
    const words = await Promise.all(outcomes);
    expect(words.filter((word) => word === "done").length).toBe(10);
    expect((await outcome(userId)).credits).toBe(900);
  });

  test("a process that dies holds nothing for ever: the hold expires", async () => {
    const userId = await world.user(30);
    await world.credit.meter.begin(userId, "ppt-generate");
    expect((await world.credit.balance(userId)).available).toBe(20);
    world.advance(1_000);
    await world.ledger.changed([userId]);
    expect((await world.credit.balance(userId)).available).toBe(30);
    expect(await world.audit()).toEqual([]);
  });
});
