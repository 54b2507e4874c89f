// The `credit` procedures: input, output and one service call each (shared/src/credit.ts).
import { creditContract } from "../../shared/src/credit.ts";
import { streamOf } from "../trpc/stream.ts";
import { publicProcedure, router, userProcedure } from "../trpc/trpc.ts";

export const creditRouter = router({
  balance: userProcedure
    .meta({
      rest: {
        route: "GET /api/user/credits",
        summary: "Get the balance, what is held, and the lots it is made of",
        errors: ["NOT_FOUND"],
      },
    })
    .input(creditContract.balance.input)
    .output(creditContract.balance.output)
    .query(({ ctx }) => ctx.services.credit.balance(ctx.user.userId)),

  history: userProcedure
    .meta({
      rest: {
        route: "GET /api/user/credits/history",
        summary: "List every movement of credits, newest first",
        errors: ["NOT_FOUND"],
      },
    })
    .input(creditContract.history.input)
    .output(creditContract.history.output)
    .query(({ ctx, input }) => ctx.services.credit.history(ctx.user.userId, input)),

  costs: publicProcedure
    .meta({ rest: { route: "GET /api/credit/costs", summary: "List what each feature costs" } })
    .input(creditContract.costs.input)
    .output(creditContract.costs.output)
    .query(({ ctx }) => ctx.services.credit.costs()),

  spend: userProcedure
    .meta({
      rest: {
        route: "POST /api/credit/spend",
        summary: "Spend credits on a feature, once per idempotencyKey",
        errors: ["INSUFFICIENT_CREDITS", "IDEMPOTENCY_CONFLICT", "NOT_FOUND"],
      },
    })
    .input(creditContract.spend.input)
    .output(creditContract.spend.output)
    .mutation(({ ctx, input }) => ctx.services.credit.spend(ctx.user.userId, input)),

  usage: userProcedure
    .meta({
      rest: {
        route: "GET /api/credit/usage",
        summary: "Get the credits spent, by feature and by day",
        errors: ["NOT_FOUND"],
      },
    })
    .input(creditContract.usage.input)
    .output(creditContract.usage.output)
    .query(({ ctx, input }) => ctx.services.credit.usage(ctx.user.userId, input)),

  onChange: userProcedure
    .meta({
      rest: {
        route: "GET /api/user/credits/events",
        summary: "Stream the balance, now and after every change",
      },
    })
    .input(creditContract.onChange.input)
    .output(streamOf(creditContract.onChange.output))
    .subscription(({ ctx }) => ctx.services.credit.onChange(ctx.user.userId, ctx.streamSignal)),
});
