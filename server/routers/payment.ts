// Owns the wiring of the `payment` procedures: contract in, one service call, contract out.
import { paymentContract as contract } from "../../shared/src/payment.ts";
import { publicProcedure, router, userProcedure } from "../trpc/trpc.ts";

const checkoutProcedure = userProcedure.meta({ tier: "checkout" });
const stripeReadProcedure = userProcedure.meta({ tier: "stripeRead" });

export const paymentRouter = router({
  packages: publicProcedure
    .input(contract.packages.input)
    .output(contract.packages.output)
    .query(({ ctx }) => ctx.services.payment.packages()),
  checkout: checkoutProcedure
    .input(contract.checkout.input)
    .output(contract.checkout.output)
    .mutation(({ ctx, input }) => ctx.services.payment.checkout(ctx.user.userId, input)),
  confirm: userProcedure
    .input(contract.confirm.input)
    .output(contract.confirm.output)
    .mutation(({ ctx, input }) => ctx.services.payment.confirm(ctx.user.userId, input)),
  history: userProcedure
    .input(contract.history.input)
    .output(contract.history.output)
    .query(({ ctx, input }) => ctx.services.payment.history(ctx.user.userId, input)),
  plans: publicProcedure
    .input(contract.plans.input)
    .output(contract.plans.output)
    .query(({ ctx }) => ctx.services.payment.plans()),
  subscribe: checkoutProcedure
    .input(contract.subscribe.input)
    .output(contract.subscribe.output)
    .mutation(({ ctx, input }) => ctx.services.payment.subscribe(ctx.user.userId, input)),
  subscription: userProcedure
    .input(contract.subscription.input)
    .output(contract.subscription.output)
    .query(({ ctx }) => ctx.services.payment.subscription(ctx.user.userId)),
  previewPlanChange: stripeReadProcedure
    .input(contract.previewPlanChange.input)
    .output(contract.previewPlanChange.output)
    .query(({ ctx, input }) => ctx.services.payment.previewPlanChange(ctx.user.userId, input)),
  changePlan: userProcedure
    .input(contract.changePlan.input)
    .output(contract.changePlan.output)
    .mutation(({ ctx, input }) => ctx.services.payment.changePlan(ctx.user.userId, input)),
  cancelPlanChange: userProcedure
    .input(contract.cancelPlanChange.input)
    .output(contract.cancelPlanChange.output)
    .mutation(({ ctx }) => ctx.services.payment.cancelPlanChange(ctx.user.userId)),
  cancelSubscription: userProcedure
    .input(contract.cancelSubscription.input)
    .output(contract.cancelSubscription.output)
    .mutation(({ ctx }) => ctx.services.payment.cancelSubscription(ctx.user.userId)),
  resumeSubscription: userProcedure
    .input(contract.resumeSubscription.input)
    .output(contract.resumeSubscription.output)
    .mutation(({ ctx }) => ctx.services.payment.resumeSubscription(ctx.user.userId)),
  portal: userProcedure
    .input(contract.portal.input)
    .output(contract.portal.output)
    .mutation(({ ctx }) => ctx.services.payment.portal(ctx.user.userId)),
  invoices: stripeReadProcedure
    .input(contract.invoices.input)
    .output(contract.invoices.output)
    .query(({ ctx }) => ctx.services.payment.invoices(ctx.user.userId)),
});
