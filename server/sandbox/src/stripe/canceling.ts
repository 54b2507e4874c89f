// Owns ending a subscription at once, with what the unused time is worth given back when asked for.
import { createInvoice, finalizeInvoice, makeLines, tryInvoice } from "./invoicing.ts";
import { endSubscription, unusedTime } from "./subscribing.ts";
import type { Subscription } from "./types-billing.ts";
import type { World } from "./world.ts";

/**
 * Cancels now. `prorate` credits the unused time; with `invoiceNow` the credit and whatever waits is
 * invoiced at once (a negative total becomes customer balance), else it waits as pending items.
 */
export function cancelNow(
  world: World,
  subscription: Subscription,
  given: { prorate: boolean; invoiceNow: boolean },
): void {
  const now = world.billingNow();
  const drafts = given.prorate
    ? subscription.items.data.flatMap((item) => unusedTime(world, subscription, item, now))
    : [];
  const waiting = world.hidden.pendingLines.get(subscription.id) ?? [];
  if (given.invoiceNow && drafts.length + waiting.length > 0) {
    world.hidden.pendingLines.delete(subscription.id);
    const invoice = createInvoice(world, {
      subscription,
      reason: "subscription_update",
      drafts,
      waiting,
      periodStart: now,
      periodEnd: now,
      coupon: undefined,
    });
    finalizeInvoice(world, invoice);
    tryInvoice(world, invoice);
    endSubscription(world, subscription, "cancellation_requested");
    return;
  }
  endSubscription(world, subscription, "cancellation_requested");
  if (drafts.length > 0)
    world.hidden.pendingLines.set(subscription.id, [...waiting, ...makeLines(world, "", drafts)]);
}
