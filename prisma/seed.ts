// The default catalog: what is for sale before an operator changes it.
import type { PrismaModels } from "../server/database/ports.ts";
import { retryConflicts } from "../server/database/errors.ts";

const PACKAGES = [
  { id: "pkg_small", name: "Small", credits: 100, price: 500 },
  { id: "pkg_medium", name: "Medium", credits: 500, price: 2000 },
  { id: "pkg_large", name: "Large", credits: 1500, price: 5000 },
] as const;

const PLANS = [
  { tier: "BASIC", name: "Basic", credits: 500, price: 999 },
  { tier: "PRO", name: "Pro", credits: 1500, price: 1999 },
  { tier: "TEAM", name: "Team", credits: 5000, price: 4999 },
] as const;

// A year costs ten months; credits are still granted monthly.
const INTERVALS = [
  { interval: "month", months: 1 },
  { interval: "year", months: 10 },
] as const;

/**
 * Inserts the packages and plans that are absent. Rows that exist are left as they are: an operator's price, name or
 * `isActive` is never overwritten. Safe to repeat and to run on several instances simultaneously. Prices in US cents.
 */
export async function seedCatalog(
  models: Pick<PrismaModels, "creditPackage" | "plan">,
): Promise<void> {
  const packages = PACKAGES.map((row, index) => ({
    ...row,
    currency: "usd",
    sortOrder: index + 1,
  }));
  const plans = INTERVALS.flatMap(({ interval, months }, group) =>
    PLANS.map((row, index) => ({
      ...row,
      id: `plan_${row.tier.toLowerCase()}_${interval}`,
      interval,
      price: row.price * months,
      currency: "usd",
      sortOrder: group * PLANS.length + index + 1,
    })),
  );
  for (const row of packages) {
    const where = { id: row.id };
    await absent(
      () => models.creditPackage.count({ where }),
      () => models.creditPackage.create({ data: row }),
    );
  }
  for (const row of plans) {
    const where = { id: row.id };
    await absent(
      () => models.plan.count({ where }),
      () => models.plan.create({ data: row }),
    );
  }
}

/**
 * Inserts a row if it is absent. SQLite's client has no `skipDuplicates`, so an insert by another instance in between
 * is recognised by its result; on another Galera node it is a conflict.
 */
async function absent(count: () => Promise<number>, insert: () => Promise<unknown>): Promise<void> {
  try {
    await retryConflicts(async () => {
      if ((await count()) === 0) await insert();
    });
  } catch (error) {
    if ((await count()) === 0) throw error;
  }
}
