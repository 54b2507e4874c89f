// meteredProcedure: how a feature that costs credits and answers once is added to the router.
import type { TRPCError } from "@trpc/server";
import { ZodError } from "zod";
import type { Feature } from "../../shared/src/features.ts";
import type { CallEnd, MeterReading } from "../credit/credit.types.ts";
import { isAsyncIterable } from "./stream.ts";
import { userProcedure } from "./trpc.ts";

/**
 * A signed-in user's procedure that costs what `feature` costs and answers once. Its price is held before the handler
 * runs and taken after it; whoever is short is refused (INSUFFICIENT_CREDITS) before any work, and so is an eleventh
 * call at once (RATE_LIMITED). Every call leaves a row in usage_logs, unless its input did not parse.
 *
 *     summarise: meteredProcedure("summarise")
 *       .input(contract.input)
 *       .output(contract.output)
 *       .mutation(({ ctx, input }) => {
 *         ctx.meter.usedModel("gemini-pro");
 *         return provider.summarise(input.text, { signal: ctx.meter.signal });
 *       })
 *
 * What is charged: the price for a call that answers; nothing for one that failed or was left, unless the handler
 * told `ctx.meter.produced` what its work was worth by then. `ctx.meter.signal` aborts when the client goes away.
 *
 * Output that comes piece by piece is a run's (server/ai): a stream here would be charged again, and say everything
 * again, each time a client lost its connection and came back. A handler that returns one fails and charges nothing.
 */
export function meteredProcedure(feature: Feature) {
  return userProcedure.use(async ({ ctx, next, signal }) => {
    const call = await ctx.services.credit.beginCall(ctx.user.userId, feature, signal);
    const result = await next({ ctx: { meter: call } });
    if (!result.ok) {
      await call.end(howItEnded(result.error, call), result.error);
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

/** tRPC parses the input behind the hold, and so tells of it here: BAD_REQUEST with zod's own error. */
function howItEnded(error: TRPCError, { signal }: MeterReading): CallEnd {
  if (error.code === "BAD_REQUEST" && error.cause instanceof ZodError) return "refused";
  return signal.aborted ? "aborted" : "failed";
}
