// Owns the start of a subscription.
import type { CheckoutLine, Invoice, Metadata, Subscription } from "./types.ts";
import type { World } from "./world.ts";

/** Placeholder until the billing engine lands in the next commit. */
export function startSubscription(
  _world: World,
  _given: {
    customer: { id: string };
    lines: CheckoutLine[];
    metadata: Metadata;
    couponId: string | null;
  },
): { subscription: Subscription; invoice: Invoice } {
  throw new Error("The sandbox cannot do subscriptions yet.");
}
