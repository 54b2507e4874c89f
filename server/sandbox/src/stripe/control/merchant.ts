// What a merchant does in Stripe's dashboard behind the app's back: plan changes, credits, adjustments, deletions.
import { moveBalance } from "../customers/balance.ts";
import { cancelNow } from "../billing/canceling.ts";
import { type CreditNoteRequest, issueCreditNote, voidCreditNote } from "../invoices/crediting.ts";
import { followSubscription } from "../billing/phases.ts";
import { removeCustomer, setCancellation } from "../billing/subscriptions.ts";
import type { Price, Proration } from "../objects/types.ts";
import type { Subscription } from "../objects/types-billing.ts";
import type { CreditNote, CustomerBalanceTransaction } from "../objects/types-credit.ts";
import { applyChange, dropPending, planChange } from "../billing/updating.ts";
import { change, need, type World } from "../state/world.ts";

export type MoveWish = {
  price?: string;
  quantity?: number;
  /** Defaults to `create_prorations`, as at Stripe. */
  proration?: Proration;
  /** The item to change. Defaults to the first. */
  item?: string;
  /** A price to add as another item; `first` puts it before the others. */
  add?: { price: string; quantity?: number; first?: boolean };
};

export interface MerchantControl {
  /** Switches a subscription to another price or quantity, or adds an item. */
  moveSubscription(subscriptionId: string, wish: MoveWish): Subscription;
  /** Sets the date at which a subscription ends; `null` clears it. */
  setCancelAt(subscriptionId: string, at: Date | null): Subscription;
  /** Cancels immediately. `prorate` credits the unused time; `invoiceNow` puts the credit on the balance right away. */
  cancelSubscriptionNow(
    subscriptionId: string,
    given?: { prorate?: boolean; invoiceNow?: boolean },
  ): Subscription;
  /** Credits a paid invoice, or lowers an open one. */
  issueCreditNote(wish: CreditNoteRequest): CreditNote;
  voidCreditNote(creditNoteId: string): CreditNote;
  /** Negative is credit in the customer's favour. */
  adjustBalance(
    customerId: string,
    amount: number,
    description?: string,
  ): CustomerBalanceTransaction;
  deleteCustomer(customerId: string): void;
  archivePrice(priceId: string, archived?: boolean): Price;
}

function move(world: World, id: string, wish: MoveWish): Subscription {
  const subscription = need(world.tables.subscriptions, "subscription", id);
  const item = wish.item ?? subscription.items.data[0]?.id;
  const kept = wish.price !== undefined || wish.quantity !== undefined;
  const plan = planChange(world, subscription, {
    wishes: [
      ...(kept
        ? [
            {
              id: item,
              price: wish.price,
              quantity: wish.quantity,
              deleted: false,
              metadata: undefined,
            },
          ]
        : []),
      ...(wish.add === undefined
        ? []
        : [
            {
              id: undefined,
              price: wish.add.price,
              quantity: wish.add.quantity,
              deleted: false,
              metadata: undefined,
            },
          ]),
    ],
    behavior: wish.proration ?? "create_prorations",
    prorationDate: undefined,
    resetAnchor: false,
  });
  // Stripe does not guarantee the order of items.
  if (wish.add?.first === true) plan.items.unshift(...plan.items.splice(-1));
  dropPending(world, subscription);
  change(world, subscription, "customer.subscription.updated", (it) =>
    applyChange(world, it, plan, "allow_incomplete"),
  );
  if (plan.changed) followSubscription(world, subscription);
  return subscription;
}

/** Creates the merchant's controls. Each does what the dashboard does, and emits the same events. */
export function createMerchant(world: World): MerchantControl {
  const subscriptionOf = (id: string): Subscription =>
    need(world.tables.subscriptions, "subscription", id);
  return {
    moveSubscription: (id, wish) => move(world, id, wish),
    setCancelAt: (id, at) => {
      const subscription = subscriptionOf(id);
      const seconds = at === null ? null : Math.floor(at.getTime() / 1000);
      change(world, subscription, "customer.subscription.updated", (it) =>
        setCancellation(it, undefined, seconds, world.billingNow()),
      );
      return subscription;
    },
    cancelSubscriptionNow: (id, given = {}) => {
      const subscription = subscriptionOf(id);
      cancelNow(world, subscription, {
        prorate: given.prorate ?? false,
        invoiceNow: given.invoiceNow ?? false,
      });
      return subscription;
    },
    issueCreditNote: (wish) => issueCreditNote(world, wish),
    voidCreditNote: (id) => {
      const note = need(world.tables.creditNotes, "credit note", id);
      voidCreditNote(world, note);
      return note;
    },
    adjustBalance: (id, amount, description) => {
      const customer = need(world.tables.customers, "customer", id);
      return moveBalance(world, customer, {
        amount,
        type: "adjustment",
        currency: customer.currency ?? "usd",
        description: description ?? null,
      });
    },
    deleteCustomer: (id) => {
      removeCustomer(world, id);
    },
    archivePrice: (id, archived = true) => {
      const price = need(world.tables.prices, "price", id);
      change(world, price, "price.updated", (it) => {
        it.active = !archived;
      });
      return price;
    },
  };
}
