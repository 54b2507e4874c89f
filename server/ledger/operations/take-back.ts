// Take-back: a refund or a dispute takes back its share of a purchase, into debt if necessary.
import { invalidField } from "../../lib/errors.ts";
import {
  type Account,
  append,
  type Entry,
  type Lot,
  MAX_BALANCE_CREDITS,
} from "../model/account.ts";
import { freeCreditsIn, mergeShares, pick, withoutShares } from "../model/lots.ts";
import { draftEntry, type Effect, type OperationContext } from "../model/operation-effect.ts";
import type { TakeBackOperation } from "../ports.ts";

/** The credits that go out, and the fields of their entry. */
interface DebitTerms extends Pick<Entry, "type" | "description" | "sourceId"> {
  readonly amountCredits: number;
  /** Lots to take from before the others. */
  readonly firstLots?: readonly Lot[];
}

/** Takes credits from the purchase's own lot, then from the other lots, and the rest as debt. */
export function takeBack(
  account: Account,
  operation: TakeBackOperation,
  context: OperationContext,
): Effect {
  const firstLots = account.lots.filter((lot) => lot.grantKey === operation.grantKey);
  const { amountCredits, type, description, sourceId } = operation;
  return takeCredits(account, { amountCredits, type, description, sourceId, firstLots }, context);
}

/**
 * Takes credits even if there are too few: from `firstLots`, then free credits of the other lots, then held ones, and
 * the rest as debt. Throws VALIDATION_FAILED beyond the largest debt.
 */
export function takeCredits(
  account: Account,
  terms: DebitTerms,
  context: OperationContext,
): Effect {
  const { amountCredits, type, description, sourceId, firstLots = [] } = terms;
  if (account.credits - amountCredits < -MAX_BALANCE_CREDITS)
    throw invalidField(
      "amount",
      `A debt may come to ${MAX_BALANCE_CREDITS} credits at most.`,
      "The debt would grow too large.",
    );
  const own = pick(firstLots, amountCredits, (lot) => lot.remaining);
  const rest = withoutShares(account.lots, own.shares);
  const free = pick(rest, amountCredits - own.total, freeCreditsIn(account.holds));
  const unheld = withoutShares(rest, free.shares);
  const last = pick(unheld, amountCredits - own.total - free.total, (lot) => lot.remaining);
  const shares = mergeShares(own.shares, free.shares, last.shares);
  const { account: after, entry } = append(
    { ...account, lots: withoutShares(account.lots, shares) },
    { ...draftEntry(context, -amountCredits, shares), type, description, sourceId },
  );
  return { account: after, entries: [entry], amountCredits, transactionId: entry.id };
}
