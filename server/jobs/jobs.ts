import type { AiService } from "../ai/ai.service.ts";
import type { AuditReport } from "../ledger/audit/audit.ts";
import type { Logger } from "../lib/logger.ts";
import type { PaymentService } from "../payment/payment.service.ts";
import { aiRunJobs } from "./ai-runs.ts";
import { doctorJob } from "./doctor.ts";
import { type ExpiryDeps, expiryJobs } from "./expiry.ts";
import { monthlyGrantsJob } from "./monthly-grants.ts";
import { reconcileJob } from "./reconcile.ts";
import { type RetentionDeps, retentionJobs } from "./retention.ts";
import { type RollUpDeps, rollUpJobs } from "./roll-ups.ts";
import type { Job } from "./runner.ts";
import { stripeEventRetryJob } from "./stripe-events.ts";

/** Dependencies of the jobs. */
export interface JobDeps {
  readonly payment: PaymentService;
  readonly ai: Pick<AiService, "endAbandoned">;
  readonly expiry: ExpiryDeps;
  readonly rollUps: RollUpDeps;
  readonly retention: RetentionDeps;
  /** Audits the ledger; entries proven in the last week are not read again. */
  readonly audit: (signal: AbortSignal) => Promise<AuditReport>;
  readonly logger: Logger;
}

/** Every job of the server. */
export function createJobs(deps: JobDeps): Job[] {
  const { payment, expiry } = deps;
  return [
    stripeEventRetryJob(payment),
    monthlyGrantsJob(payment),
    reconcileJob(payment),
    ...aiRunJobs(deps.ai),
    ...expiryJobs(expiry),
    ...rollUpJobs(deps.rollUps),
    ...retentionJobs(deps.retention),
    doctorJob(deps),
  ];
}
