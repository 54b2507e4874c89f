// The hourly reconciliation with Stripe.
import type { PaymentService } from "../payment/payment.service.ts";
import type { Job } from "./runner.ts";

/** Some twenty minutes of Stripe's answers; a hundred thousand are looked at within a day. */
const MAX_SUBSCRIPTIONS = 5_000;

/** Hourly, and soon after a start: a server that was down has missed events. */
export function reconcileJob(payment: Pick<PaymentService, "reconcile">): Job {
  return {
    name: "reconcile",
    everySeconds: 3_600,
    maxSeconds: 1_800,
    firstAfterSeconds: 60,
    run: (signal) => payment.reconcile({ signal, maxSubscriptions: MAX_SUBSCRIPTIONS }),
  };
}
