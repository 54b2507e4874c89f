// Owns which of a subscription's items is the plan: add-ons and prices of other sellers may stand before it.
import type { StripeSubscription, StripeSubscriptionItem } from "../stripe/port.ts";
import type { Catalogue, PricedPlan } from "./catalog.ts";

/** The plan's item, or the first one with `priced` null when none of the prices is ours. */
export interface PlanItem {
  readonly item: StripeSubscriptionItem;
  readonly priced: PricedPlan | null;
}

/** Finds the first price of ours among `items`. */
export async function pricedAmong<Item extends { readonly priceId: string }>(
  catalogue: Catalogue,
  items: readonly Item[],
): Promise<{ item: Item; priced: PricedPlan } | null> {
  for (const item of items) {
    const priced = await catalogue.planOfPrice(item.priceId);
    if (priced !== null) return { item, priced };
  }
  return null;
}

/** Finds the plan's item wherever it stands. */
export async function planItemOf(
  catalogue: Catalogue,
  subscription: StripeSubscription,
): Promise<PlanItem> {
  const found = await pricedAmong(catalogue, subscription.items);
  return found ?? { item: subscription.items[0], priced: null };
}
