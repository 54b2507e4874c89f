// meteredProcedure: how to add a feature that costs credits and returns a single answer to the router.
import type { TRPCError } from "@trpc/server";
import { ZodError } from "zod";
import type { Feature } from "../../shared/src/features.ts";
import type { CallEnd, MeterReading } from "../credit/credit.types.ts";
import { isAsyncIterable } from "./stream.ts";
import { userProcedure } from "./trpc.ts";

/**
 * A signed-in user's procedure that costs the price of `feature` and returns a single answer. The price is held before
 * the handler runs and charged afterwards. A user who is short of credits is refused before any work
 * (INSUFFICIENT_CREDITS), and so is an eleventh concurrent call (RATE_LIMITED). Every call leaves a row in usage_logs,
 * unless its input did not parse.
 *
 *     summarise: meteredProcedure("summarise")
 *       .input(contract.input)
 *       .output(contract.output)
 *       .mutation(({ ctx, input }) => {
 *         ctx.meter.usedModel("gemini-pro");
 *         return provider.summarise(input.text, { signal: ctx.meter.signal });
 *       })
 *
 * A call that returns is charged the price. One that fails or is abandoned costs nothing, unless the handler reported
 * the worth of its work so far with `ctx.meter.produced`. `ctx.meter.signal` aborts when the client disconnects or the
 * call has run too long.
 *
 * Output that arrives piece by piece belongs in a run (server/ai): a stream here would be charged again, and sent from
 * the start, each time a client reconnected. A handler that returns a stream therefore counts as a failed call.
 */
export function meteredProcedure(feature: Feature) {
  return userProcedure.use(async ({ ctx, next, signal }) => {
    const call = await ctx.services.credit.beginCall(ctx.user.userId, feature, signal);
    const result = await next({ ctx: { meter: call } });
    if (!result.ok) {
      await call.end(callEndOf(result.error, call), result.error);
      return result;
    }
    if (isAsyncIterable(result.data)) {
      const misuse = new TypeError("A metered procedure answers once; stream output with a run");
      await call.end("failed", misuse);
      throw misuse;
    }
    await call.end("completed");
    return result;
  });
}

/** tRPC parses input only after the hold, so input that does not parse shows up here: BAD_REQUEST with a ZodError. */
function callEndOf(error: TRPCError, { signal }: MeterReading): CallEnd {
  if (error.code === "BAD_REQUEST" && error.cause instanceof ZodError) return "refused";
  return signal.aborted ? "aborted" : "failed";
}
