// Owns the `credit` procedures: input, output and one service call each (shared/src/credit.ts).
import { creditContract } from "../../shared/src/credit.ts";
import { streamOf } from "../trpc/stream.ts";
import { publicProcedure, router, userProcedure } from "../trpc/trpc.ts";

// A subscription called without a request (by the server itself) ends when its reader leaves.
const NEVER = new AbortController().signal;

export const creditRouter = router({
  balance: userProcedure
    .input(creditContract.balance.input)
    .output(creditContract.balance.output)
    .query(({ ctx }) => ctx.services.credit.balance(ctx.user.userId)),

  history: userProcedure
    .input(creditContract.history.input)
    .output(creditContract.history.output)
    .query(({ ctx, input }) => ctx.services.credit.history(ctx.user.userId, input)),

  costs: publicProcedure
    .input(creditContract.costs.input)
    .output(creditContract.costs.output)
    .query(({ ctx }) => ctx.services.credit.costs()),

  spend: userProcedure
    .input(creditContract.spend.input)
    .output(creditContract.spend.output)
    .mutation(({ ctx, input }) => ctx.services.credit.spend(ctx.user.userId, input)),

  usage: userProcedure
    .input(creditContract.usage.input)
    .output(creditContract.usage.output)
    .query(({ ctx, input }) => ctx.services.credit.usage(ctx.user.userId, input)),

  onChange: userProcedure
    .input(creditContract.onChange.input)
    .output(streamOf(creditContract.onChange.output))
    .subscription(({ ctx, signal }) =>
      ctx.services.credit.onChange(ctx.user.userId, signal ?? NEVER),
    ),
});
