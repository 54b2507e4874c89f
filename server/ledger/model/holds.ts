// The holds of one account: finding, counting and ending them.
import { AppError, notFound } from "../../lib/errors.ts";
import type { Account, Hold } from "./account.ts";

/** Returns the user's hold `holdId`. Throws NOT_FOUND when there is none, or when it is another user's. */
export function findHold(account: Account, holdId: string): Hold {
  const hold = account.holds.find((candidate) => candidate.id === holdId);
  if (hold === undefined) throw notFound("hold");
  return hold;
}

/** Throws HOLD_NOT_ACTIVE for a hold that has ended, saying how. */
export function requireActive(hold: Hold): void {
  if (hold.status === "ACTIVE") return;
  const how = { SETTLED: "was settled", RELEASED: "was released", EXPIRED: "has expired" };
  throw AppError.of("HOLD_NOT_ACTIVE", `This hold ${how[hold.status]} already.`);
}

/** Returns how many ACTIVE holds have a key that begins with `keyPrefix`. */
export function countActive(holds: readonly Hold[], keyPrefix: string): number {
  return holds.filter(
    (hold) => hold.status === "ACTIVE" && hold.idempotencyKey?.startsWith(keyPrefix),
  ).length;
}

/** Replaces `holds` by their ended form and subtracts their credits from the account's held sum. */
export function endHolds(
  account: Account,
  holds: readonly Hold[],
  end: Pick<Hold, "status" | "settledAmount" | "transactionId" | "endedBy">,
  nowMs: number,
): Account {
  const ending = new Set(holds);
  return {
    ...account,
    held: account.held - holds.reduce((sum, { amount }) => sum + amount, 0),
    // In one pass: an outage may leave thousands of a user's holds to expire together.
    holds: account.holds.map((hold) =>
      ending.has(hold) ? { ...hold, ...end, endedAtMs: nowMs } : hold,
    ),
  };
}
