import type { PaymentService } from "../payment/payment.service.ts";
import type { Job } from "./runner.ts";

/** Tries pending and failed events again, each after its own growing pause. */
export function stripeEventRetryJob(payment: Pick<PaymentService, "retryEvents">): Job {
  return {
    name: "stripe-events-retry",
    everySeconds: 30,
    maxSeconds: 600,
    run: async (signal) => ({ settled: await payment.retryEvents(signal) }),
  };
}
