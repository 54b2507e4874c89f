// Ending a subscription at once, with what the unused time is worth given back when asked for.
import {
  createInvoice,
  customerOf,
  finalizeInvoice,
  makeLines,
  tryInvoice,
} from "../invoices/invoicing.ts";
import { addPending, pendingOf, takePending } from "../invoices/pending.ts";
import { endSubscription, unusedTime } from "./subscribing.ts";
import type { Subscription } from "../objects/types-billing.ts";
import type { World } from "../state/world.ts";

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
  if (given.invoiceNow && drafts.length + pendingOf(world, subscription).length > 0) {
    const invoice = createInvoice(world, {
      subscription,
      reason: "subscription_update",
      drafts,
      waiting: takePending(world, subscription),
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
  const customer = customerOf(world, subscription);
  addPending(world, customer, subscription, makeLines(world, "", drafts));
}
