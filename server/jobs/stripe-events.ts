// Retries Stripe's failed events and deletes old ones.
import type { PaymentService } from "../payment/payment.service.ts";
import type { Job } from "./runner.ts";

/** Tries pending and failed events again, each after its own growing pause. */
export function stripeEventRetryJob(payment: Pick<PaymentService, "retryEvents">): Job {
  return {
    name: "stripe-events-retry",
    everySeconds: 30,
    maxSeconds: 600,
    run: async () => ({ settled: await payment.retryEvents() }),
  };
}

/** Forgets events received more than 90 days ago. */
export function stripeEventPruneJob(payment: Pick<PaymentService, "pruneEvents">): Job {
  return {
    name: "stripe-events-prune",
    everySeconds: 86_400,
    maxSeconds: 600,
    firstAfterSeconds: 300,
    run: async () => ({ forgotten: await payment.pruneEvents() }),
  };
}
