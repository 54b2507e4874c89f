// Finds the plan among a subscription's items: add-ons and prices that are not ours may come before it.
import type { PricedPlan } from "../payment.types.ts";
import type { StripeSubscription, StripeSubscriptionItem } from "../stripe/port.ts";
import type { Catalog } from "./catalog.ts";

/** The plan's item, or the first item with `priced` null when none of the prices is ours. */
export interface PlanItem {
  readonly item: StripeSubscriptionItem;
  readonly priced: PricedPlan | null;
}

/** Returns the first of `items` whose price is ours; null when there is none. */
export async function findPricedItem<Item extends { readonly priceId: string }>(
  catalog: Catalog,
  items: readonly Item[],
): Promise<{ item: Item; priced: PricedPlan } | null> {
  for (const item of items) {
    const priced = await catalog.findPricedPlan(item.priceId);
    if (priced !== null) return { item, priced };
  }
  return null;
}

/** Returns the plan's item, wherever it is in the list. */
export async function findPlanItem(
  catalog: Catalog,
  subscription: StripeSubscription,
): Promise<PlanItem> {
  const found = await findPricedItem(catalog, subscription.items);
  return found ?? { item: subscription.items[0], priced: null };
}
