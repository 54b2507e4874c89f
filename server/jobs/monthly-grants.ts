// Grants the months of yearly plans as they begin.
import type { PaymentService } from "../payment/payment.service.ts";
import type { Job } from "./runner.ts";

/** Every ten minutes: a month's credits are there soon after the month begins. */
export function monthlyGrantsJob(payment: Pick<PaymentService, "grantMonthly">): Job {
  return {
    name: "monthly-grants",
    everySeconds: 600,
    maxSeconds: 900,
    run: async (signal) => ({ grants: await payment.grantMonthly(signal) }),
  };
}
