// All jobs of the server. Those that are a single service call are defined here, the others in files of their own.
import type { AiService } from "../ai/ai.service.ts";
import type { AuditReport } from "../ledger/audit/audit.ts";
import type { Logger } from "../lib/logger.ts";
import type { PaymentService } from "../payment/payment.service.ts";
import { type ExpiryDeps, expiryJobs } from "./expiry.ts";
import { type RetentionDeps, retentionJobs } from "./retention.ts";
import { type RollUpDeps, rollUpJobs } from "./roll-ups.ts";
import { type Job, JobFailure, type JobResult } from "./runner.ts";

/** Dependencies of the jobs. */
export interface JobDeps {
  readonly payment: PaymentService;
  readonly ai: Pick<AiService, "endAbandoned">;
  readonly expiry: ExpiryDeps;
  readonly rollUps: RollUpDeps;
  readonly retention: RetentionDeps;
  /** Audits the ledger. Entries proven within the last week are not read again. */
  readonly audit: (signal: AbortSignal) => Promise<AuditReport>;
  readonly logger: Logger;
}

/** About twenty minutes of requests to Stripe. At this rate 100,000 are checked within a day. */
const MAX_SUBSCRIPTIONS = 5_000;

/** Returns every job of the server. */
export function createJobs(deps: JobDeps): Job[] {
  return [
    ...paymentJobs(deps.payment),
    {
      // Ends abandoned runs within a minute of their producer's death.
      name: "ai-runs-end-abandoned",
      everySeconds: 10,
      firstAfterSeconds: 5,
      maxSeconds: 60,
      run: async (signal) => ({ ended: await deps.ai.endAbandoned(signal) }),
    },
    ...expiryJobs(deps.expiry),
    ...rollUpJobs(deps.rollUps),
    ...retentionJobs(deps.retention),
    {
      // Daily, and ten minutes after a first start; /ready reports its last result.
      name: "doctor",
      everySeconds: 86_400,
      maxSeconds: 7_200,
      firstAfterSeconds: 600,
      run: (signal) => runDoctor(deps, signal),
    },
  ];
}

/** Returns the payment jobs. */
export function paymentJobs(
  payment: Pick<PaymentService, "retryEvents" | "grantMonthly" | "reconcile">,
): Job[] {
  return [
    {
      // Retries pending and failed events, each with its own growing backoff.
      name: "stripe-events-retry",
      everySeconds: 30,
      maxSeconds: 600,
      run: async (signal) => ({ settled: await payment.retryEvents(signal) }),
    },
    {
      // Grants each month of a yearly plan soon after it begins.
      name: "monthly-grants",
      everySeconds: 600,
      maxSeconds: 900,
      run: async (signal) => ({ grants: await payment.grantMonthly(signal) }),
    },
    {
      // Hourly, and soon after a start, because a server that was down has missed events.
      name: "reconcile",
      everySeconds: 3_600,
      maxSeconds: 1_800,
      firstAfterSeconds: 60,
      run: (signal) => runReconcile(payment, signal),
    },
  ];
}

/** Catches up with Stripe. Fails if the next run has to start where this one did; an item out of sync is not enough. */
async function runReconcile(
  payment: Pick<PaymentService, "reconcile">,
  signal: AbortSignal,
): Promise<JobResult> {
  const report = await payment.reconcile({ signal, maxSubscriptions: MAX_SUBSCRIPTIONS });
  if (!report.caughtUp) throw new JobFailure("It has not caught up with Stripe.", { ...report });
  return { ...report };
}

/** Audits the ledger. Any violation fails the run; each is logged on its own line. */
async function runDoctor({ audit, logger }: JobDeps, signal: AbortSignal): Promise<JobResult> {
  const { violations, isCut, provenNow, provenEarlier } = await audit(signal);
  for (const violation of violations) logger.error({ violation }, "ledger violation");
  const figures = { violations: violations.length, isCut, provenNow, provenEarlier };
  if (violations.length > 0) throw new JobFailure("The ledger has violations.", figures);
  return figures;
}
