// Owns the list of jobs: what runs on a clock, how often, for how long at most.
import type { Backend } from "../backend/backend.ts";
import type { Ledger } from "../ledger/operations.ts";
import type { Logger } from "../logger.ts";
import type { PaymentService } from "../payment/payment.service.ts";
import type { Job } from "./runner.ts";

const MINUTE = 60;
const HOUR = 3_600;
const DAY = 86_400;

/** What the jobs work with. */
export interface JobDeps {
  readonly backend: Backend;
  readonly ledger: Ledger;
  readonly payment: PaymentService;
  readonly logger: Logger;
  readonly now: () => number;
}

/** Every job of the server. */
export function createJobs(deps: JobDeps): Job[] {
  const { payment } = deps;
  return [
    {
      name: "stripe-events",
      everySeconds: 30,
      maxSeconds: 5 * MINUTE,
      firstAfterSeconds: 2,
      run: () => payment.retryEvents(),
    },
    {
      name: "reconcile",
      everySeconds: HOUR,
      maxSeconds: 30 * MINUTE,
      firstAfterSeconds: 5 * MINUTE,
      run: () => payment.reconcile(),
    },
    {
      name: "monthly-grants",
      everySeconds: 10 * MINUTE,
      maxSeconds: 10 * MINUTE,
      firstAfterSeconds: 20,
      run: () => payment.grantMonthly(),
    },
    {
      name: "prune-events",
      everySeconds: DAY,
      maxSeconds: 10 * MINUTE,
      firstAfterSeconds: HOUR,
      run: () => payment.pruneEvents(),
    },
  ];
}
