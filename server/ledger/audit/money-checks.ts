// The doctor's money checks: credits granted for purchases and plans never exceed what the money we kept pays for.
import type { SqlDialect } from "../../database/dates.ts";
import { type Check, inRange, type SqlFragments } from "./check.ts";

const GIVEN = "('PURCHASE', 'SUBSCRIPTION', 'REFUND', 'DISPUTE', 'DISPUTE_REVERSAL')";
/** Money in minor units: how much of a payment has gone back, and the whole that shares are computed from. */
const BACK = "(p.refundedAmount + p.creditedAmount + p.disputedAmount)";
const WHOLE =
  "(CASE WHEN COALESCE(p.total, 0) > p.amount THEN COALESCE(p.total, 0) ELSE p.amount END)";
const LEFT = "(p.creditsPurchased - p.refundedCredits - p.disputedCredits)";
const WORTH = "COALESCE(p.creditsWorth, p.creditsPurchased)";

/** Returns SQL for the share of `credits` that went back, computed as `creditShare` does. */
function shareOf(credits: string, dialect: SqlDialect): string {
  const floor = dialect === "mysql" ? "DIV" : "/";
  return `CASE WHEN ${WHOLE} <= 0 OR ${BACK} <= 0 OR ${credits} <= 0 THEN 0 WHEN ${BACK} >= ${WHOLE} THEN ${credits}
    ELSE (${credits} * ${BACK}) ${floor} ${WHOLE} END`;
}

/** Credits follow the money. */
export function moneyChecks({ dialect, text }: SqlFragments): readonly Check[] {
  // Few users pay, so start from them and read their few entries of these types, not every user's.
  const given = (table: string) =>
    dialect === "mysql"
      ? `(SELECT e.userId, e.sourceId, SUM(e.amount) AS amount
          FROM (SELECT DISTINCT userId FROM ${table} WHERE ${inRange("userId")}) q
          STRAIGHT_JOIN credit_logs e FORCE INDEX (credit_logs_userId_type_seq_idx) ON e.userId = q.userId AND e.type IN ${GIVEN}
          WHERE e.sourceId IS NOT NULL GROUP BY e.userId, e.sourceId)`
      : `(SELECT userId, sourceId, SUM(amount) AS amount FROM credit_logs
          WHERE ${inRange("userId")} AND type IN ${GIVEN} AND sourceId IS NOT NULL GROUP BY userId, sourceId)`;
  return [
    {
      invariant: "5 credits follow the money: what went back of a payment took its share",
      sql: `SELECT p.userId, ${text("'payment '", "p.id", "': '", BACK, "' of '", WHOLE, "' is back, '", LEFT, "' of '", "p.creditsPurchased", "' credits are left'")} AS detail
        FROM payments p WHERE ${inRange("p.userId")}
        AND p.refundedCredits + p.disputedCredits < ${shareOf("p.creditsPurchased", dialect)}`,
    },
    {
      invariant: "5 credits follow the money: never more than the lines of an invoice buy",
      sql: `SELECT p.userId, ${text("'payment '", "p.id", "': '", "p.creditsPurchased", "' credits of '", "p.creditsWorth")} AS detail
        FROM payments p WHERE ${inRange("p.userId")}
        AND p.creditsWorth >= 0 AND p.creditsPurchased > p.creditsWorth`,
    },
    {
      invariant:
        "5 credits follow the money: a subscription keeps at most what the money kept buys",
      sql: `SELECT k.userId, ${text("'subscription '", "k.id", "': '", "k.kept", "' credits kept, '", "k.bought", "' bought'")} AS detail
        FROM (
          SELECT s.userId, s.id, SUM(${LEFT}) - s.returnedCredits AS kept,
            SUM(${WORTH} - (${shareOf(WORTH, dialect)})) AS bought
          FROM subscriptions s JOIN payments p ON p.userId = s.userId AND p.subscriptionId = s.id AND p.paidAt IS NOT NULL
          WHERE ${inRange("s.userId")} GROUP BY s.userId, s.id, s.returnedCredits
        ) k WHERE k.kept > k.bought`,
    },
    {
      invariant: "5 credits follow the money: the entries of a payment leave what it may keep",
      sql: `SELECT p.userId, ${text("'payment '", "p.id", "': '", LEFT, "' credits may stay, the entries leave '", "COALESCE(e.amount, 0)")} AS detail
        FROM payments p LEFT JOIN ${given("payments")} e ON e.userId = p.userId AND e.sourceId = p.id
        WHERE ${inRange("p.userId")} AND p.paidAt IS NOT NULL AND COALESCE(e.amount, 0) <> ${LEFT}`,
    },
    {
      invariant:
        "5 credits follow the money: what a subscription returned is what its entries took",
      sql: `SELECT s.userId, ${text("'subscription '", "s.id", "': '", "s.returnedCredits", "' returned, the entries took '", "COALESCE(-e.amount, 0)")} AS detail
        FROM subscriptions s LEFT JOIN ${given("subscriptions")} e ON e.userId = s.userId AND e.sourceId = s.id
        WHERE ${inRange("s.userId")} AND COALESCE(-e.amount, 0) <> s.returnedCredits`,
    },
  ];
}
