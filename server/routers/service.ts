// The `service` procedures: input, output and one service call each (shared/src/service.ts).
import { serviceContract } from "../../shared/src/service.ts";
import { router, serviceProcedure } from "../trpc/trpc.ts";

export const serviceRouter = router({
  reserve: serviceProcedure
    .meta({
      rest: {
        route: "POST /api/service/reserve",
        summary: "Hold a user's credits before work begins",
        errors: ["INSUFFICIENT_CREDITS", "IDEMPOTENCY_CONFLICT", "NOT_FOUND"],
      },
    })
    .input(serviceContract.reserve.input)
    .output(serviceContract.reserve.output)
    .mutation(({ ctx, input }) => ctx.services.service.reserve(ctx.caller, input)),

  settle: serviceProcedure
    .meta({
      rest: {
        route: "POST /api/service/settle",
        summary: "Charge what the work has cost, 0 up to the held amount",
        errors: ["HOLD_NOT_ACTIVE", "NOT_FOUND"],
      },
    })
    .input(serviceContract.settle.input)
    .output(serviceContract.settle.output)
    .mutation(({ ctx, input }) => ctx.services.service.settle(ctx.caller, input)),

  release: serviceProcedure
    .meta({
      rest: {
        route: "POST /api/service/release",
        summary: "Release a hold untouched",
        errors: ["HOLD_NOT_ACTIVE", "NOT_FOUND"],
      },
    })
    .input(serviceContract.release.input)
    .output(serviceContract.release.output)
    .mutation(({ ctx, input }) => ctx.services.service.release(ctx.caller, input)),

  spend: serviceProcedure
    .meta({
      rest: {
        route: "POST /api/service/spend",
        summary: "Spend a user's credits at once",
        errors: ["INSUFFICIENT_CREDITS", "IDEMPOTENCY_CONFLICT", "NOT_FOUND"],
      },
    })
    .input(serviceContract.spend.input)
    .output(serviceContract.spend.output)
    .mutation(({ ctx, input }) => ctx.services.service.spend(ctx.caller, input)),
});
