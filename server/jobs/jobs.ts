// The list of jobs: everything that runs on a clock.
import type { AiService } from "../ai/ai.service.ts";
import type { AuthService } from "../auth/auth.service.ts";
import type { Violation } from "../ledger/audit/audit.ts";
import type { Logger } from "../lib/logger.ts";
import type { PaymentService } from "../payment/payment.service.ts";
import { aiRunJobs } from "./ai-runs.ts";
import { doctorJob } from "./doctor.ts";
import { type ExpiryDeps, expiryJobs } from "./expiry.ts";
import { monthlyGrantsJob } from "./monthly-grants.ts";
import { reconcileJob } from "./reconcile.ts";
import { type RollUpDeps, rollUpJobs } from "./roll-ups.ts";
import type { Job } from "./runner.ts";
import { sessionPruneJob } from "./sessions.ts";
import { stripeEventPruneJob, stripeEventRetryJob } from "./stripe-events.ts";

/** Dependencies of the jobs. */
export interface JobDeps {
  readonly payment: PaymentService;
  readonly auth: Pick<AuthService, "pruneSessions">;
  readonly ai: Pick<AiService, "endAbandoned" | "prune">;
  readonly expiry: ExpiryDeps;
  readonly rollUps: RollUpDeps;
  /** Everything wrong with the ledger. */
  readonly audit: (signal: AbortSignal) => Promise<readonly Violation[]>;
  readonly logger: Logger;
}

/** Every job of the server. */
export function createJobs(deps: JobDeps): Job[] {
  const { payment, expiry } = deps;
  return [
    stripeEventRetryJob(payment),
    stripeEventPruneJob(payment),
    monthlyGrantsJob(payment),
    reconcileJob(payment),
    sessionPruneJob(deps.auth),
    ...aiRunJobs(deps.ai),
    ...expiryJobs(expiry),
    ...rollUpJobs(deps.rollUps),
    doctorJob(deps),
  ];
}
