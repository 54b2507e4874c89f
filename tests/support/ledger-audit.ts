// Checks the invariants of the books row by row: slow and simple, and sharing nothing with the doctor.
import type { PrismaModels } from "../../server/database/ports.ts";

/**
 * Returns a description of each violation of invariants 1 to 4, for one user or for all. `cut` tolerates holds that a
 * refund has reduced.
 */
export async function auditRows(
  models: PrismaModels,
  { userId, cut = false }: { userId?: string; cut?: boolean } = {},
): Promise<string[]> {
  const where = userId === undefined ? {} : { userId };
  const [users, logs, lots, holds] = await Promise.all([
    models.user.findMany({ where: userId === undefined ? {} : { id: userId } }),
    models.creditLog.findMany({ where, orderBy: [{ userId: "asc" }, { seq: "asc" }] }),
    models.creditGrant.findMany({ where }),
    models.creditHold.findMany({ where }),
  ]);
  const problems: string[] = [];
  for (const user of users) {
    const check = (fine: boolean, what: string) => {
      if (!fine) problems.push(`${user.id}: ${what}`);
    };
    let balance = 0;
    let seq = 0;
    const counts: Record<string, number> = {};
    for (const log of logs.filter(({ userId }) => userId === user.id)) {
      seq += 1;
      balance += log.amount;
      counts[log.type] = (counts[log.type] ?? 0) + 1;
      check(log.seq === seq, `seq ${log.seq} where ${seq} belongs`);
      check(log.balance === balance, `balance ${log.balance} at ${seq}, not ${balance}`);
    }
    check(user.credits === balance, `credits ${user.credits}, entries say ${balance}`);
    check(user.ledgerSeq === seq, `ledgerSeq ${user.ledgerSeq}, ${seq} entries`);
    check(user.rolledSeq === seq, `rolledSeq ${user.rolledSeq}, ${seq} entries`);
    const stored = JSON.parse(user.entryCounts) as Record<string, number>;
    for (const type of new Set([...Object.keys(counts), ...Object.keys(stored)]))
      check(counts[type] === stored[type], `${stored[type]} entries of ${type} counted`);
    const mine = lots.filter(({ userId }) => userId === user.id);
    const open = mine.reduce((sum, lot) => sum + lot.remaining, 0);
    check(open === Math.max(0, user.credits), `lots hold ${open} of ${user.credits}`);
    check(
      mine.every((lot) => lot.remaining >= 0 && lot.isOpen === lot.remaining > 0),
      "a lot is open exactly while something remains",
    );
    const active = holds.filter(({ userId, status }) => userId === user.id && status === "ACTIVE");
    const held = active.reduce((sum, hold) => sum + hold.amount, 0);
    check(user.heldCredits === held, `heldCredits ${user.heldCredits}, holds say ${held}`);
    check(cut || held <= Math.max(0, user.credits), `${held} held of ${user.credits}`);
  }
  if (userId === undefined) problems.push(...(await auditFigures(models, logs)));
  return problems;
}

/** Compares the statistics of credits moved, by type, with the entries. */
async function auditFigures(
  { creditMovement, creditTotal }: PrismaModels,
  logs: readonly { readonly type: string; readonly amount: number }[],
): Promise<string[]> {
  const sums = new Map<string, { given: number; taken: number }>();
  const add = (type: string, given: number, taken: number) => {
    const sum = sums.get(type) ?? { given: 0, taken: 0 };
    sums.set(type, { given: sum.given + given, taken: sum.taken + taken });
  };
  const counted = [...(await creditMovement.findMany()), ...(await creditTotal.findMany())];
  for (const { type, given, taken } of counted) add(type, Number(given), Number(taken));
  for (const { type, amount } of logs) add(type, -Math.max(0, amount), Math.min(0, amount));
  return [...sums]
    .filter(([, { given, taken }]) => given !== 0 || taken !== 0)
    .map(([type, off]) => `${type} counted ${off.given} given and ${off.taken} taken too many`);
}

/** Audits one user's rows like `auditRows`, and that every payment granted exactly what was bought. */
export async function brokenInvariants(models: PrismaModels, userId: string): Promise<string[]> {
  const broken = await auditRows(models, { userId, cut: true });
  const lots = await models.creditGrant.findMany({ where: { userId } });
  const payments = await models.payment.findMany({ where: { userId } });
  for (const payment of payments) {
    const granted = lots
      .filter(
        ({ grantKey }) =>
          grantKey === `payment:${payment.id}` || grantKey.startsWith(`payment:${payment.id}:`),
      )
      .reduce((sum, lot) => sum + lot.amount, 0);
    const owed = payment.paidAt === null ? 0 : payment.creditsPurchased;
    if (granted !== owed) broken.push(`payment ${payment.status} granted ${granted} of ${owed}`);
  }
  return broken;
}
