// The wiring of the `payment` procedures: contract in, one service call, contract out.
import { paymentContract as contract } from "../../shared/src/payment.ts";
import { publicProcedure, router, userProcedure } from "../trpc/trpc.ts";

const checkoutProcedure = userProcedure.meta({ tier: "checkout" });
const stripeReadProcedure = userProcedure.meta({ tier: "stripeRead" });

export const paymentRouter = router({
  packages: publicProcedure
    .meta({
      rest: { route: "GET /api/payment/packages", summary: "List the credit packages for sale" },
    })
    .input(contract.packages.input)
    .output(contract.packages.output)
    .query(({ ctx }) => ctx.services.payment.packages()),
  checkout: checkoutProcedure
    .meta({
      rest: {
        route: "POST /api/payment/checkout",
        summary: "Open a Stripe Checkout for a package",
        errors: ["NOT_FOUND", "PAYMENT_PROVIDER_ERROR"],
      },
    })
    .input(contract.checkout.input)
    .output(contract.checkout.output)
    .mutation(({ ctx, input }) => ctx.services.payment.checkout(ctx.user.userId, input)),
  confirm: userProcedure
    .meta({
      rest: {
        route: "POST /api/payment/confirm",
        summary: "Get the result of one's own Checkout",
        errors: ["NOT_FOUND", "PAYMENT_PROVIDER_ERROR"],
      },
    })
    .input(contract.confirm.input)
    .output(contract.confirm.output)
    .mutation(({ ctx, input }) => ctx.services.payment.confirm(ctx.user.userId, input)),
  history: userProcedure
    .meta({ rest: { route: "GET /api/payment/history", summary: "List payments, newest first" } })
    .input(contract.history.input)
    .output(contract.history.output)
    .query(({ ctx, input }) => ctx.services.payment.history(ctx.user.userId, input)),
  plans: publicProcedure
    .meta({
      rest: { route: "GET /api/payment/plans", summary: "List the subscription plans for sale" },
    })
    .input(contract.plans.input)
    .output(contract.plans.output)
    .query(({ ctx }) => ctx.services.payment.plans()),
  subscribe: checkoutProcedure
    .meta({
      rest: {
        route: "POST /api/payment/subscribe",
        summary: "Open a Stripe Checkout for a plan",
        errors: ["NOT_FOUND", "CONFLICT", "PAYMENT_PROVIDER_ERROR"],
      },
    })
    .input(contract.subscribe.input)
    .output(contract.subscribe.output)
    .mutation(({ ctx, input }) => ctx.services.payment.subscribe(ctx.user.userId, input)),
  subscription: userProcedure
    .meta({
      rest: {
        route: "GET /api/payment/subscription",
        summary: "Get the subscription",
        errors: ["PAYMENT_PROVIDER_ERROR"],
      },
    })
    .input(contract.subscription.input)
    .output(contract.subscription.output)
    .query(({ ctx }) => ctx.services.payment.subscription(ctx.user.userId)),
  previewPlanChange: stripeReadProcedure
    .meta({
      rest: {
        route: "GET /api/payment/subscription/preview",
        summary: "Preview what a change of plan costs",
        errors: ["NOT_FOUND", "CONFLICT", "PAYMENT_PROVIDER_ERROR"],
      },
    })
    .input(contract.previewPlanChange.input)
    .output(contract.previewPlanChange.output)
    .query(({ ctx, input }) => ctx.services.payment.previewPlanChange(ctx.user.userId, input)),
  changePlan: userProcedure
    .meta({
      rest: {
        route: "POST /api/payment/subscription/change",
        summary: "Change the plan as previewed",
        errors: ["NOT_FOUND", "CONFLICT", "PREVIEW_STALE", "PAYMENT_PROVIDER_ERROR"],
      },
    })
    .input(contract.changePlan.input)
    .output(contract.changePlan.output)
    .mutation(({ ctx, input }) => ctx.services.payment.changePlan(ctx.user.userId, input)),
  cancelPlanChange: userProcedure
    .meta({
      rest: {
        route: "POST /api/payment/subscription/cancel-change",
        summary: "Keep the current plan: undo a change that waits for the end of the period",
        errors: ["NOT_FOUND", "CONFLICT", "PAYMENT_PROVIDER_ERROR"],
      },
    })
    .input(contract.cancelPlanChange.input)
    .output(contract.cancelPlanChange.output)
    .mutation(({ ctx }) => ctx.services.payment.cancelPlanChange(ctx.user.userId)),
  cancelSubscription: userProcedure
    .meta({
      rest: {
        route: "POST /api/payment/subscription/cancel",
        summary: "Cancel the subscription at the end of the period",
        errors: ["NOT_FOUND", "CONFLICT", "PAYMENT_PROVIDER_ERROR"],
      },
    })
    .input(contract.cancelSubscription.input)
    .output(contract.cancelSubscription.output)
    .mutation(({ ctx }) => ctx.services.payment.cancelSubscription(ctx.user.userId)),
  resumeSubscription: userProcedure
    .meta({
      rest: {
        route: "POST /api/payment/subscription/resume",
        summary: "Resume a subscription that is about to end",
        errors: ["NOT_FOUND", "CONFLICT", "PAYMENT_PROVIDER_ERROR"],
      },
    })
    .input(contract.resumeSubscription.input)
    .output(contract.resumeSubscription.output)
    .mutation(({ ctx }) => ctx.services.payment.resumeSubscription(ctx.user.userId)),
  portal: userProcedure
    .meta({
      rest: {
        route: "POST /api/payment/portal",
        summary: "Open Stripe's customer portal",
        errors: ["NOT_FOUND", "PAYMENT_PROVIDER_ERROR"],
      },
    })
    .input(contract.portal.input)
    .output(contract.portal.output)
    .mutation(({ ctx }) => ctx.services.payment.portal(ctx.user.userId)),
  invoices: stripeReadProcedure
    .meta({
      rest: {
        route: "GET /api/payment/invoices",
        summary: "List the invoices, newest first",
        errors: ["PAYMENT_PROVIDER_ERROR"],
      },
    })
    .input(contract.invoices.input)
    .output(contract.invoices.output)
    .query(({ ctx }) => ctx.services.payment.invoices(ctx.user.userId)),
});
