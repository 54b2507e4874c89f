// The doctor's checks of the ledger. Each is one SQL statement, over the users in one range of ids or over the entries
// that are not proven yet.
import type { SqlDialect } from "../../database/dates.ts";
import {
  INCONSISTENT_END,
  CHARGE,
  type Check,
  inRange,
  type SqlFragments,
  sqlFragments,
} from "./check.ts";
import { moneyChecks } from "./money-checks.ts";

const PAID = "('SUCCESS', 'REFUNDED', 'PARTIALLY_REFUNDED', 'DISPUTED')";
const TAKES = "type IN ('REFUND', 'DISPUTE', 'ADMIN_ADJUST') AND amount < 0";

/** Returns every check, for `dialect` and a page with `users` unverified users. */
export function doctorChecks(dialect: SqlDialect, users: number): readonly Check[] {
  const words = sqlFragments(dialect, users);
  return [
    ...balanceChecks(words),
    ...lotAndHoldChecks(words),
    ...debtChecks(words),
    ...holdEndChecks(words),
    ...paymentChecks(words),
    ...moneyChecks(words),
    ...orphanChecks(),
  ];
}

/** Returns SQL that counts debt as zero. */
function zeroIfNegative(credits: string): string {
  return `CASE WHEN ${credits} > 0 THEN ${credits} ELSE 0 END`;
}

/** Each entry follows the one before it. */
function balanceChecks({ entries, text }: SqlFragments): Check[] {
  return [
    {
      invariant: "1 balance: each entry's balance is the one before it plus its amount",
      takes: ["unverified"],
      sql: `SELECT e.userId, ${text("'entry '", "e.seq", "': balance '", "e.balance", "' after '", "COALESCE(p.balance, 0)", "' and '", "e.amount")} AS detail
        FROM ${entries} e LEFT JOIN credit_logs p ON p.userId = e.userId AND p.seq = e.seq - 1
        WHERE e.balance <> COALESCE(p.balance, 0) + e.amount`,
    },
    {
      invariant: "1 balance: users.credits is the last entry's balance",
      sql: `SELECT u.id AS userId, ${text("'credits '", "u.credits", "', last balance '", "e.balance")} AS detail
        FROM users u JOIN credit_logs e ON e.userId = u.id AND e.seq = u.ledgerSeq
        WHERE ${inRange("u.id")} AND e.balance <> u.credits`,
    },
  ];
}

/** Open lots add up to the credits, and active holds to the held credits. */
function lotAndHoldChecks({ text }: SqlFragments): Check[] {
  return [
    {
      invariant: "2 lots: open lots add up to the credits",
      sql: `SELECT u.id AS userId, ${text("'credits '", "u.credits", "', open lots hold '", "g.total")} AS detail
        FROM users u JOIN (
          SELECT x.id, COALESCE(SUM(l.remaining), 0) AS total
          FROM users x LEFT JOIN credit_grants l ON l.userId = x.id AND l.isOpen = 1 WHERE ${inRange("x.id")} GROUP BY x.id
        ) g ON g.id = u.id
        WHERE g.total <> ${zeroIfNegative("u.credits")}`,
    },
    {
      invariant: "2 lots: 0 <= remaining <= amount, open exactly while something remains",
      sql: `SELECT userId, ${text("'lot '", "id", "': '", "remaining", "' of '", "amount", "', isOpen '", "isOpen")} AS detail
        FROM credit_grants WHERE ${inRange("userId")}
        AND (remaining < 0 OR remaining > amount OR isOpen <> CASE WHEN remaining > 0 THEN 1 ELSE 0 END)`,
    },
    {
      invariant: "2 holds: users.heldCredits is the sum of the active holds",
      sql: `SELECT u.id AS userId, ${text("'heldCredits '", "u.heldCredits", "', active holds '", "h.total")} AS detail
        FROM users u JOIN (
          SELECT x.id, COALESCE(SUM(a.amount), 0) AS total
          FROM users x LEFT JOIN credit_holds a ON a.userId = x.id AND a.status = 'ACTIVE' WHERE ${inRange("x.id")} GROUP BY x.id
        ) h ON h.id = u.id
        WHERE u.heldCredits <> h.total`,
    },
    {
      invariant: "2 holds: never more held than there is, unless a refund or dispute cut it",
      sql: `SELECT u.id AS userId, ${text("'held '", "u.heldCredits", "' of '", "u.credits")} AS detail
        FROM users u WHERE ${inRange("u.id")} AND u.heldCredits > ${zeroIfNegative("u.credits")}
        AND NOT EXISTS (SELECT 1 FROM credit_logs e WHERE e.userId = u.id AND e.${TAKES})`,
    },
  ];
}

/** Usage never causes debt. */
function debtChecks({ entries, text }: SqlFragments): Check[] {
  return [
    {
      invariant: "3 no debt by use: a spend or an expiry never takes the balance below zero",
      takes: ["unverified"],
      sql: `SELECT e.userId, ${text("'entry '", "e.seq", "' ('", "e.type", "'): balance '", "e.balance")} AS detail
        FROM ${entries} e WHERE e.balance < 0
        AND (e.type = 'EXPIRY' OR (e.type = 'USAGE' AND e.sourceId IS NULL))`,
    },
    {
      invariant:
        "3 no debt by use: a settle takes the balance below zero only after a refund or dispute",
      takes: ["unverified"],
      sql: `SELECT e.userId, ${text("'entry '", "e.seq", "': balance '", "e.balance")} AS detail
        FROM ${entries} e WHERE e.balance < 0 AND ${CHARGE}
        AND NOT EXISTS (SELECT 1 FROM credit_logs c WHERE c.userId = e.userId AND c.seq < e.seq AND c.${TAKES})`,
    },
  ];
}

/** A hold ends once. */
function holdEndChecks({ entries, users, holds, text }: SqlFragments): Check[] {
  return [
    {
      invariant: "4 holds end once: a charge names its settled hold, and the hold names the charge",
      takes: ["unverified"],
      sql: `SELECT e.userId, ${text("'entry '", "e.seq", "' of hold '", "e.sourceId", "': '", "COALESCE(h.status, 'missing')", "' at '", "COALESCE(h.settledAmount, 0)")} AS detail
        FROM ${entries} e LEFT JOIN credit_holds h ON h.id = e.sourceId AND h.userId = e.userId
        WHERE ${CHARGE}
        AND (h.id IS NULL OR h.status <> 'SETTLED' OR h.transactionId IS NULL OR h.transactionId <> e.id OR h.settledAmount <> -e.amount)`,
    },
    {
      invariant: "4 holds end once: every settled hold was charged",
      takes: ["list", "unverified", "list"],
      sql: `SELECT x.userId, ${text("SUM(x.settled)", "' holds settled for more than 0, '", "SUM(x.charges)", "' charges'")} AS detail
        FROM (
          SELECT j.userId, j.charges, 0 AS settled FROM ${users}
          UNION ALL SELECT e.userId, 1, 0 FROM ${entries} e WHERE ${CHARGE}
          UNION ALL SELECT h.userId, 0, 1 FROM ${holds} AND h.status = 'SETTLED' AND h.settledAmount > 0
        ) x GROUP BY x.userId HAVING SUM(x.charges) <> SUM(x.settled)`,
    },
    {
      invariant: "4 holds end once: a hold's state and its end agree",
      takes: ["list"],
      sql: `SELECT h.userId, ${text("'hold '", "h.id", "': '", "h.status")} AS detail
        FROM ${holds} WHERE ${INCONSISTENT_END}`,
    },
  ];
}

/** A payment is granted once. */
function paymentChecks({ text }: SqlFragments): Check[] {
  return [
    {
      invariant: "4 payments are granted once: a paid payment has exactly its credits",
      sql: `SELECT p.userId, ${text("'payment '", "p.id", "' ('", "p.status", "'): '", "p.creditsPurchased", "' credits paid, '", "p.granted", "' granted'")} AS detail
        FROM (
          SELECT p.id, p.userId, p.status, p.creditsPurchased, COALESCE(SUM(g.amount), 0) AS granted
          FROM payments p LEFT JOIN credit_grants g ON g.userId = p.userId AND g.sourceId = p.id AND g.source IN ('PURCHASE', 'SUBSCRIPTION')
          WHERE ${inRange("p.userId")} GROUP BY p.id, p.userId, p.status, p.creditsPurchased
        ) p WHERE p.granted <> CASE WHEN p.status IN ${PAID} THEN p.creditsPurchased ELSE 0 END`,
    },
    {
      invariant:
        "4 payments are granted once: every bought lot has its payment, under the payment's key",
      sql: `SELECT g.userId, ${text("'lot '", "g.id", "' ('", "g.source", "'), key '", "g.grantKey")} AS detail
        FROM credit_grants g LEFT JOIN payments p ON p.id = g.sourceId AND p.userId = g.userId
        WHERE ${inRange("g.userId")} AND g.source IN ('PURCHASE', 'SUBSCRIPTION')
        AND (p.id IS NULL OR (g.grantKey <> ${text("'payment:'", "p.id")} AND g.grantKey NOT LIKE ${text("'payment:'", "p.id", "':%'")}))`,
    },
  ];
}

/** Every row has its user. Cheap, because the databases skip from user to user along an index. */
function orphanChecks(): Check[] {
  return ["credit_logs", "credit_grants", "credit_holds"].map((table) => ({
    invariant: `1 nothing without its user: ${table}`,
    sql: `SELECT t.userId, 'rows of a user who is not there' AS detail
        FROM (SELECT DISTINCT userId FROM ${table} WHERE ${inRange("userId")}) t LEFT JOIN users u ON u.id = t.userId WHERE u.id IS NULL`,
  }));
}

/**
 * Returns rows of `userId` and either `entryCounts`, or `type` and `n`. They are compared outside SQL, because
 * `entryCounts` is JSON. A single statement, so that both come from one snapshot. It counts along an index of user and
 * type, and includes entries that are already proven.
 */
export const ENTRY_COUNTS = `
  SELECT id AS userId, entryCounts, NULL AS type, 0 AS n FROM users WHERE ${inRange("id")}
  UNION ALL
  SELECT userId, NULL, type, COUNT(*) FROM credit_logs WHERE ${inRange("userId")} GROUP BY userId, type`;
