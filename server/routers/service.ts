// Owns the `service` procedures: input, output and one service call each (shared/src/service.ts).
import { serviceContract } from "../../shared/src/service.ts";
import { router, serviceProcedure } from "../trpc/trpc.ts";

export const serviceRouter = router({
  reserve: serviceProcedure
    .input(serviceContract.reserve.input)
    .output(serviceContract.reserve.output)
    .mutation(({ ctx, input }) => ctx.services.service.reserve(ctx.caller, input)),

  settle: serviceProcedure
    .input(serviceContract.settle.input)
    .output(serviceContract.settle.output)
    .mutation(({ ctx, input }) => ctx.services.service.settle(ctx.caller, input)),

  release: serviceProcedure
    .input(serviceContract.release.input)
    .output(serviceContract.release.output)
    .mutation(({ ctx, input }) => ctx.services.service.release(ctx.caller, input)),

  spend: serviceProcedure
    .input(serviceContract.spend.input)
    .output(serviceContract.spend.output)
    .mutation(({ ctx, input }) => ctx.services.service.spend(ctx.caller, input)),
});
