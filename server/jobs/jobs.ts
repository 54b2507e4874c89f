// Owns the list of jobs: everything that runs on a clock.
import type { PaymentService } from "../payment/payment.service.ts";
import { monthlyGrantsJob } from "./monthly-grants.ts";
import { reconcileJob } from "./reconcile.ts";
import type { Job } from "./runner.ts";
import { stripeEventPruneJob, stripeEventRetryJob } from "./stripe-events.ts";

/** What the jobs work with. */
export interface JobDeps {
  readonly payment: PaymentService;
}

/** Every job of the server. */
export function createJobs(deps: JobDeps): Job[] {
  const { payment } = deps;
  return [
    stripeEventRetryJob(payment),
    stripeEventPruneJob(payment),
    monthlyGrantsJob(payment),
    reconcileJob(payment),
  ];
}
