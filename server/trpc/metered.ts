// Owns meteredProcedure: how an AI feature that costs credits is added to the router.
import type { Feature } from "../../shared/src/features.ts";
import type { MeteredCall } from "../credit/meter.ts";
import { isAsyncIterable } from "./stream.ts";
import { userProcedure } from "./trpc.ts";

/**
 * A signed-in user's procedure that costs what `feature` costs. Its price is held before the handler runs and taken
 * after it; whoever is short is refused (INSUFFICIENT_CREDITS) before any work, and so is an eleventh call at once
 * (RATE_LIMITED). Every call leaves a row in usage_logs.
 *
 * To add a feature: name it in shared/src/features.ts, give it a price in the environment table, write its contract,
 * and then its procedure, which answers once or streams:
 *
 *     summarise: meteredProcedure("chat-pro")
 *       .input(contract.input)
 *       .output(streamOf(contract.output))
 *       .mutation(async function* ({ ctx, input }) {
 *         ctx.meter.usedModel("gemini-pro");
 *         for await (const part of provider.stream(input, { signal: ctx.meter.signal })) {
 *           ctx.meter.produced(part.share * ctx.meter.priceCredits);
 *           yield part.text;
 *         }
 *       })
 *
 * What is charged (DESIGN.md 4): a whole call its price; one that failed or was left before its first output nothing;
 * one broken off later what `ctx.meter.produced` last said, rounded up, at least 1 credit. A handler that answers once
 * begins its output with its answer, or by telling `produced`. `ctx.meter.signal` aborts when the client goes away.
 */
export function meteredProcedure(feature: Feature) {
  return userProcedure.use(async ({ ctx, next, signal }) => {
    const cut = new AbortController();
    const signals = signal === undefined ? [cut.signal] : [signal, cut.signal];
    const call = await ctx.services.credit.meter.begin(
      ctx.user.userId,
      feature,
      AbortSignal.any(signals),
    );
    const result = await next({ ctx: { meter: call } });
    if (!result.ok) {
      // Input that does not parse is refused behind the hold; it is no call, and a release without usage is enough.
      await call.end("failed", result.error);
      return result;
    }
    if (isAsyncIterable(result.data)) {
      // The stream itself is ended by userProcedure; the provider behind it has to hear of it too.
      const authority = ctx.watchAuthority();
      authority.signal.addEventListener("abort", () => cut.abort(), { once: true });
      const data = meteredStream(result.data, call, () => authority.stop());
      return { ...result, data };
    }
    await call.end("completed");
    return result;
  });
}

/** Passes the stream on and ends the call with it, however it ends: at its end, by an error, or by being left. */
function meteredStream(
  source: AsyncIterable<unknown>,
  call: MeteredCall,
  ended: () => void,
): AsyncIterable<unknown> {
  // A stream that nobody ever reads runs no `finally`; the signal tells of its reader's end all the same.
  const abandon = () => {
    ended();
    void call.end("aborted");
  };
  if (call.signal.aborted) abandon();
  else call.signal.addEventListener("abort", abandon, { once: true });

  async function* passOn(): AsyncGenerator<unknown, void, void> {
    try {
      for await (const value of source) {
        call.outputBegan();
        yield value;
      }
      await call.end("completed");
    } catch (error) {
      await call.end(call.signal.aborted ? "aborted" : "failed", error);
      throw error;
    } finally {
      ended();
      call.signal.removeEventListener("abort", abandon);
      await call.end("aborted");
    }
  }
  return passOn();
}
