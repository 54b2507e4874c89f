// meteredProcedure: what each way a call can end costs, how many calls may run, and that an abort reaches the handler.
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import type { MeterReading } from "../../../server/credit/credit.types.ts";
import { beginMeteredCall } from "../../../server/credit/metered-call.ts";
import type { Ledger } from "../../../server/ledger/ports.ts";
import { AppError } from "../../../server/lib/errors.ts";
import { meteredProcedure } from "../../../server/trpc/metered.ts";
import { createCallerFactory, router, toAppError } from "../../../server/trpc/trpc.ts";
import { available } from "../../support/backend.ts";
import { auditRows } from "../../support/ledger-audit.ts";
import { contextOf } from "../../support/request-context.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useTestApp } from "../../support/use-app.ts";
import { deferred } from "../../support/deferred.ts";

type Handler = (meter: MeterReading) => Promise<unknown>;

/** An AI feature as a developer would add it, as a mutation and as a query; the test supplies the handler. */
function features(handler: Handler) {
  const feature = meteredProcedure("ppt-generate")
    .input(z.strictObject({ topic: z.string().min(1) }))
    .output(z.unknown());
  return router({
    once: feature.mutation(({ ctx }) => handler(ctx.meter)),
    look: feature.query(({ ctx }) => handler(ctx.meter)),
  });
}

const unused: Handler = () => Promise.reject(new Error("unused"));

describe("metered calls", () => {
  const world = useTestApp({ available, clock: createTestClock("stepping") });

  function callerOf(userId: string, handler: Handler, signal?: AbortSignal) {
    const create = createCallerFactory(features(handler));
    return create(contextOf(world, { userId }), signal === undefined ? {} : { signal });
  }

  /** Returns credits, held credits and usage rows once the hold has ended. */
  async function outcome(userId: string) {
    const { models } = world;
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
    const userId = await world.createUser(30);
    const caller = callerOf(userId, async (meter) => {
      meter.usedModel("gemini-pro");
      const { heldCredits } = await world.models.user.findUniqueOrThrow({
        where: { id: userId },
      });
      return `held ${heldCredits} of ${meter.priceCredits}`;
    });
    expect(await caller.once({ topic: "x" })).toBe("held 10 of 10");
    expect(await outcome(userId)).toEqual({
      credits: 20,
      usage: [{ credits: 10, success: true, error: null, model: "gemini-pro" }],
    });
  });

  test("a call is refused with INSUFFICIENT_CREDITS before any work when credits are short", async () => {
    const userId = await world.createUser(9);
    let worked = false;
    const caller = callerOf(userId, () => {
      worked = true;
      return Promise.resolve("");
    });
    const error = await caller.once({ topic: "x" }).catch(toAppError);
    expect(error).toMatchObject({ code: "INSUFFICIENT_CREDITS" });
    expect(worked).toBe(false);
    expect(await outcome(userId)).toEqual({ credits: 9, usage: [] });
  });

  test("a call's signal ends with the call, whichever way: Node.js keeps the listeners of one that never ends", async () => {
    const userId = await world.createUser(30);
    const signals: AbortSignal[] = [];
    const handler = (answer: () => Promise<unknown>) => (meter: MeterReading) => {
      signals.push(meter.signal);
      expect(meter.signal.aborted).toBe(false);
      return answer();
    };
    await callerOf(
      userId,
      handler(() => Promise.resolve("done")),
    ).once({ topic: "x" });
    const failing = callerOf(
      userId,
      handler(() => Promise.reject(new Error("no"))),
    );
    await expect(failing.once({ topic: "x" })).rejects.toThrow();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  });

  test("a query costs its price too", async () => {
    const userId = await world.createUser(30);
    const caller = callerOf(userId, () => Promise.resolve("seen"));
    expect(await caller.look({ topic: "x" })).toBe("seen");
    expect(await outcome(userId)).toMatchObject({ credits: 20, usage: [{ credits: 10 }] });
  });

  test("a failure is free, or costs what the handler says was produced by then, rounded up", async () => {
    const free = await world.createUser(30);
    const broken = callerOf(free, () => Promise.reject(new TypeError("provider")));
    await expect(broken.once({ topic: "x" })).rejects.toThrow();
    expect(await outcome(free)).toEqual({
      credits: 30,
      usage: [{ credits: 0, success: false, error: "TypeError", model: null }],
    });

    const partly = await world.createUser(30);
    const half = callerOf(partly, (meter) => {
      meter.produced(3.2);
      return Promise.reject(new Error("provider"));
    });
    await expect(half.once({ topic: "x" })).rejects.toThrow();
    expect(await outcome(partly)).toMatchObject({
      credits: 26,
      usage: [{ credits: 4, success: false }],
    });

    const wrongly = await world.createUser(30);
    const more = callerOf(wrongly, (meter) => {
      for (const credits of [-5, Number.NaN, 1_000]) meter.produced(credits);
      return Promise.reject(new Error("provider"));
    });
    await expect(more.once({ topic: "x" })).rejects.toThrow();
    expect(await outcome(wrongly)).toMatchObject({ credits: 20, usage: [{ credits: 10 }] });
  });

  test("the provider is told when the client leaves, which pays for what was produced", async () => {
    const userId = await world.createUser(30);
    const client = new AbortController();
    const caller = callerOf(
      userId,
      (meter) =>
        new Promise((_resolve, reject) => {
          meter.produced(0.2);
          meter.signal.addEventListener("abort", () => reject(new Error("the provider stopped")));
          client.abort();
        }),
      client.signal,
    );
    await expect(caller.once({ topic: "x" })).rejects.toThrow();
    expect(await outcome(userId)).toEqual({
      credits: 29,
      usage: [{ credits: 1, success: false, error: "aborted", model: null }],
    });
  });

  // Every time a client lost its connection and reconnected, it would be charged again and receive everything again.
  test("a handler that returns a stream fails and charges nothing, as a query and as a mutation", async () => {
    let began = false;
    const streams: Handler = async () =>
      (async function* () {
        began = true;
        yield "part";
      })();
    for (const form of ["once", "look"] as const) {
      const userId = await world.createUser(30);
      const error = await callerOf(userId, streams)[form]({ topic: "x" }).catch(toAppError);
      expect(error).toMatchObject({ code: "INTERNAL" });
      expect(await outcome(userId)).toEqual({
        credits: 30,
        usage: [{ credits: 0, success: false, error: "TypeError", model: null }],
      });
    }
    expect(began).toBe(false);
  });

  test("bad input returns VALIDATION_FAILED, costs nothing and is no call", async () => {
    const userId = await world.createUser(30);
    const caller = callerOf(userId, unused);
    const error = await caller.once({ topic: "" }).catch(toAppError);
    expect(error).toMatchObject({ code: "VALIDATION_FAILED" });
    expect(await outcome(userId)).toEqual({ credits: 30, usage: [] });
  });

  test("the eleventh call at once returns RATE_LIMITED, over all instances", async () => {
    const userId = await world.createUser(1_000);
    const { promise: gate, resolve: open } = deferred();
    const caller = callerOf(userId, () => gate.then(() => "done"));
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

  test("a call whose hold took effect without an answer is refused, and holds nothing soon after", async () => {
    const userId = await world.createUser(30);
    let isLost = false;
    const ledger: Ledger = {
      ...world.ledger,
      async submit(operation) {
        const result = await world.ledger.submit(operation);
        if (isLost) return result;
        isLost = true;
        throw AppError.of("SERVICE_UNAVAILABLE", "Lost.", { retryAfterSeconds: 1 });
      },
    };
    const deps = {
      ...{ ledger, logger: world.logger, withPackageSuggestion: <T>(work: () => T) => work() },
      prices: { credits: world.config.credits.costs, version: "test" },
    };
    const request = { userId, feature: "ppt-generate", clientSignal: undefined } as const;
    await expect(beginMeteredCall(deps, request)).rejects.toMatchObject({
      code: "SERVICE_UNAVAILABLE",
    });
    expect(await world.models.creditHold.count({ where: { userId } })).toBe(1);
    expect(await outcome(userId)).toEqual({ credits: 30, usage: [] });
  });

  test("a process that dies holds nothing for ever: the hold expires", async () => {
    const userId = await world.createUser(30);
    await world.credit.beginCall(userId, "ppt-generate");
    expect((await world.credit.balance(userId)).available).toBe(20);
    world.clock.aheadMs += 1_000 * 1_000;
    await world.ledger.changed([userId]);
    expect((await world.credit.balance(userId)).available).toBe(30);
    expect(await auditRows(world.models)).toEqual([]);
  });
});
