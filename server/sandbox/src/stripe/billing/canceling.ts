// Cancels a subscription immediately, crediting the unused time on request.
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
 * Cancels immediately. `prorate` credits the unused time. `invoiceNow` invoices the credit and any pending
 * items right away (a negative total becomes customer balance); otherwise they stay pending.
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
