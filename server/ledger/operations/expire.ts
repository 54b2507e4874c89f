// Expiry: ends expired holds and takes expired credits.
import { type Account, append, type Entry } from "../model/account.ts";
import { endHolds } from "../model/holds.ts";
import { expirable, withoutShares } from "../model/lots.ts";
import { draftEntry, type Effect, type OperationContext } from "../model/operation-effect.ts";

/**
 * Ends expired holds, then takes expired credits as one EXPIRY entry. Runs before every decision, so that no user
 * spends expired credits or is refused because of an expired hold, whether or not the jobs have run yet.
 */
export function expireOverdue(
  account: Account,
  context: Pick<OperationContext, "newId" | "nowMs">,
): { readonly account: Account; readonly entries: readonly Entry[] } {
  const { nowMs } = context;
  const overdue = account.holds.filter(
    (hold) => hold.status === "ACTIVE" && hold.expiresAtMs <= nowMs,
  );
  const end = { settledAmount: null, transactionId: null, endedBy: null };
  const current =
    overdue.length === 0
      ? account
      : endHolds(account, overdue, { status: "EXPIRED", ...end }, nowMs);
  const { shares, total } = expirable(current, nowMs);
  if (total === 0) return { account: current, entries: [] };
  const { account: expired, entry } = append(
    { ...current, lots: withoutShares(current.lots, shares) },
    {
      ...draftEntry({ operationId: context.newId(), nowMs }, -total, shares),
      type: "EXPIRY",
      description: "Credits expired",
    },
  );
  return { account: expired, entries: [entry] };
}

/** Handles expireLots and expireHolds: nothing is left to do, because `decide` has already called `expireOverdue`. */
export function expire(account: Account): Effect {
  return { account, amountCredits: 0, transactionId: null };
}
