// Leases of jobs in the database: whoever holds one runs the job. One row per job, made on its first run.
import type { PrismaModels } from "../database/ports.ts";

/** The leases as one instance sees them. */
export interface JobLeaseStore {
  /**
   * Takes a lease that is free, of a job whose last run was at `dueBefore` or earlier (null: whenever it was). What lies
   * further ahead than could be was written by a clock that ran ahead, and holds nobody up.
   */
  acquire(
    name: string,
    lease: { readonly at: Date; readonly expiresAt: Date },
    dueBefore: Date | null,
  ): Promise<boolean>;
  /** False when another instance has taken the lease meanwhile. */
  renew(name: string, expiresAt: Date): Promise<boolean>;
  /** Frees the lease, as if the job had not been run; does nothing when the lease was lost. */
  release(name: string): Promise<void>;
  /** Frees the lease and keeps how the run ended; does nothing when the lease was lost. */
  finish(name: string, lastRunAt: Date, lastOutcome: string): Promise<void>;
  /** As `finish` was given it. */
  lastOutcome(name: string): Promise<string | null>;
  /** Of all jobs that ever ran. */
  outcomes(): Promise<readonly { name: string; lastOutcome: string | null }[]>;
}

const LONG_AGO = new Date(0);
const FREE = { holder: null, expiresAt: LONG_AGO };
/** A lease that ends later than so many from now was not taken by a right clock; clocks may differ by a few. */
const LEASES_AHEAD = 10;

/** The store over Prisma; `holder` names this instance. */
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
      // The first run of all. Whoever loses this race finds the row next time.
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
