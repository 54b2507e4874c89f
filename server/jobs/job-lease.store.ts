// Job leases in the database: the instance that holds a job's lease runs it. One row per job, created on its first run.
import type { PrismaModels } from "../database/ports.ts";

/** The leases as one instance sees them. */
export interface JobLeaseStore {
  /**
   * Takes a job's lease if it is free and the last run was at `dueBefore` or earlier (null: at any time). Ignores
   * stored dates too far in the future to be right: a clock that ran ahead wrote them, and they must not block the job.
   */
  acquire(
    name: string,
    lease: { readonly at: Date; readonly expiresAt: Date },
    dueBefore: Date | null,
  ): Promise<boolean>;
  /** Returns false when another instance has taken the lease meanwhile. */
  renew(name: string, expiresAt: Date): Promise<boolean>;
  /** Frees the lease as if the job had not run. Does nothing if the lease was lost. */
  release(name: string): Promise<void>;
  /** Frees the lease and stores how the run ended. Does nothing if the lease was lost. */
  finish(name: string, lastRunAt: Date, lastOutcome: string): Promise<void>;
  /** Returns the outcome last passed to `finish`; null when there is none. */
  lastOutcome(name: string): Promise<string | null>;
  /** Returns the last outcomes of all jobs that were ever started. */
  outcomes(): Promise<readonly { name: string; lastOutcome: string | null }[]>;
}

const LONG_AGO = new Date(0);
const FREE = { holder: null, expiresAt: LONG_AGO };
/**
 * A lease that ends more than this many lease durations from now was taken by a clock that ran ahead. Less is
 * tolerated, because clocks may differ.
 */
const LEASES_AHEAD = 10;

/** Creates the store over Prisma; `holder` identifies this instance. */
export function createJobLeaseStore(
  { jobLease }: Pick<PrismaModels, "jobLease">,
  holder: string,
): JobLeaseStore {
  return {
    async acquire(name, { at, expiresAt }, dueBefore) {
      const tooFar = ahead(at, LEASES_AHEAD * (expiresAt.getTime() - at.getTime()));
      const isFree = [{ expiresAt: { lte: at } }, { expiresAt: { gt: tooFar } }];
      const take = {
        where: { name, AND: [{ OR: isFree }, isDue(at, dueBefore)] },
        data: { holder, expiresAt },
      };
      if ((await jobLease.updateMany(take)).count === 1) return true;
      if ((await jobLease.count({ where: { name } })) > 0) return false;
      // The job's very first run. An instance that loses this race finds the row next time.
      const made = await jobLease
        .create({ data: { name, ...FREE } })
        .then(() => true)
        .catch(() => false);
      return made && (await jobLease.updateMany(take)).count === 1;
    },
    async renew(name, expiresAt) {
      const { count } = await jobLease.updateMany({ where: { name, holder }, data: { expiresAt } });
      return count > 0;
    },
    async release(name) {
      await jobLease.updateMany({ where: { name, holder }, data: FREE });
    },
    async finish(name, lastRunAt, lastOutcome) {
      await jobLease.updateMany({
        where: { name, holder },
        data: { ...FREE, lastRunAt, lastOutcome },
      });
    },
    async lastOutcome(name) {
      return (await jobLease.findUnique({ where: { name } }))?.lastOutcome ?? null;
    },
    outcomes: () => jobLease.findMany({ select: { name: true, lastOutcome: true } }),
  };
}

function isDue(at: Date, dueBefore: Date | null) {
  if (dueBefore === null) return {};
  const tooFar = ahead(at, at.getTime() - dueBefore.getTime());
  return {
    OR: [{ lastRunAt: null }, { lastRunAt: { lte: dueBefore } }, { lastRunAt: { gt: tooFar } }],
  };
}

function ahead(at: Date, byMs: number): Date {
  return new Date(at.getTime() + byMs);
}
