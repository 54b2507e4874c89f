// One simulated server: the real ledger, payment service and jobs of a process, on lines that may break.
import type { Database } from "../../server/database/ports.ts";
import { createBalances } from "../../server/credit/balances.ts";
import { createCreditStore } from "../../server/credit/credit.store.ts";
import { expiryJobs } from "../../server/jobs/expiry.ts";
import { paymentJobs } from "../../server/jobs/jobs.ts";
import { retentionJobs } from "../../server/jobs/retention.ts";
import { createRetentionStore } from "../../server/jobs/retention.store.ts";
import { createJobRunner } from "../../server/jobs/runner.ts";
import { createExpiryStore } from "../../server/ledger/store/expiry.store.ts";
import { createLedger } from "../../server/ledger/ledger.ts";
import type { Logger } from "../../server/lib/logger.ts";
import { createPaymentStore } from "../../server/payment/payment.store.ts";
import { createPaymentService } from "../../server/payment/payment.service.ts";
import { createDatabaseLine } from "./database.ts";
import type { Life, Stage } from "./process.ts";
import type { RedisLine } from "./redis.ts";
import type { SimulatedStripe } from "./stripe.ts";
import { running } from "./environment.ts";

/** A server process: everything here is lost when its life ends. */
export type SimulatedServer = ReturnType<typeof startServer>;

/** What somebody heard of what they asked for. */
export type Answer<T> =
  | { readonly kind: "done"; readonly value: T }
  /** A refusal: nothing has happened. */
  | { readonly kind: "refused"; readonly code: string }
  /** Nobody knows: the server died, or cannot say. */
  | { readonly kind: "unknown" };

/** What the processes share: the database, Redis, Stripe. */
export interface Shared {
  readonly database: Database;
  readonly redis: (life: Life) => RedisLine;
  readonly stripe: SimulatedStripe;
  readonly logger: Logger;
}

/** Every job whose work is money. */
export const JOBS = [
  "stripe-events-retry",
  "stripe-events-prune",
  "monthly-grants",
  "reconcile",
  "expire-holds",
  "expire-lots",
  "prune-keys",
] as const;

/** Starts a server; its clock is off by `skewMs`. */
export function startServer(stage: Stage, shared: Shared, life: Life, skewMs: number) {
  return running.run(life, () => {
    const { logger } = shared;
    const now = () => stage.scheduler.nowMs + skewMs;
    const database = createDatabaseLine(shared.database, stage, life);
    const redis = shared.redis(life);
    const { cache } = redis;
    // Two batches as on MySQL, and for as few users as can be. On SQLite their transactions take turns: what meets here
    // is their locks, retries and answers.
    const limits = { batches: 2, overlapUsers: 1 };
    const ledger = createLedger({ ...redis, database, logger, tracer: null, now, limits });
    const payment = createPaymentService({
      store: createPaymentStore({ database, ledger }),
      ledger,
      stripe: shared.stripe.portOf(life),
      logger,
      now,
      frontendUrl: "http://localhost:3000",
      signingSecrets: ["a-secret-of-thirty-two-characters"],
      // As in production: what Stripe does not know is never closed for that alone.
      sandbox: false,
    });
    const jobs = createJobRunner({
      database,
      logger,
      now,
      jobs: [
        ...paymentJobs(payment),
        ...expiryJobs({ store: createExpiryStore(database), ledger, logger, now }),
        ...retentionJobs({ store: createRetentionStore(database), now }),
      ],
    });
    const balances = createBalances({ store: createCreditStore(database), ledger, cache, now });
    return { life, ledger, balances, payment, jobs };
  });
}
