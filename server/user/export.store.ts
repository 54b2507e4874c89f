// Owns what `user.export` holds: every row about the person, whole lists, no secrets.
import type { PrismaModels } from "../database/database.ts";

/** Everything stored about the user as one JSON document; null when there is no such user or the user was deleted. */
export async function exportUser(
  models: PrismaModels,
  userId: string,
): Promise<Record<string, unknown> | null> {
  const user = await models.user.findUnique({ where: { id: userId } });
  if (user === null || user.deletedAt !== null) return null;
  const own = { where: { userId } };
  const byTime = { ...own, orderBy: { createdAt: "asc" } } as const;
  const [
    identities,
    sessions,
    creditLogs,
    creditGrants,
    creditHolds,
    usageLogs,
    idempotencyKeys,
    checkouts,
    payments,
    subscriptions,
    auditLogs,
  ] = await Promise.all([
    models.identity.findMany(byTime),
    // Token hashes are left out by the client itself (SECRET_COLUMNS).
    models.session.findMany(byTime),
    models.creditLog.findMany({ ...own, orderBy: { seq: "asc" } }),
    models.creditGrant.findMany(byTime),
    models.creditHold.findMany(byTime),
    models.usageLog.findMany(byTime),
    models.idempotencyKey.findMany({ ...byTime, select: { key: true, createdAt: true } }),
    models.checkout.findMany(byTime),
    models.payment.findMany(byTime),
    models.subscription.findMany(byTime),
    // What was done to the account and why; by whom is another person's data.
    models.auditLog.findMany({
      where: { targetType: "user", targetId: userId },
      orderBy: { createdAt: "asc" },
      select: { id: true, action: true, reason: true, detail: true, createdAt: true },
    }),
  ]);
  const document = {
    format: "skywork-export-1",
    exportedAt: new Date(),
    user,
    identities,
    sessions,
    creditLogs,
    creditGrants,
    creditHolds,
    usageLogs,
    idempotencyKeys,
    checkouts,
    payments,
    subscriptions,
    auditLogs,
  };
  // Through JSON once: dates become ISO 8601 here, and not somewhere on the way out.
  return JSON.parse(JSON.stringify(document)) as Record<string, unknown>;
}
