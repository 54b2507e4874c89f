// What merchants do to plans at Stripe behind our back, and people in a billing portal that is not the one we open.
import type { PortalFeatures } from "../../server/sandbox/src/stripe/objects/types.ts";
import type {
  Invoice,
  Subscription,
} from "../../server/sandbox/src/stripe/objects/types-billing.ts";
import type { AtStripe } from "./outside-steps.ts";
import type { World } from "./world.ts";

const DAY_MS = 86_400_000;
const PRORATIONS = ["always_invoice", "create_prorations", "none"] as const;
const WAITS = [[], ["decreasing_item_amount"], ["decreasing_item_amount", "shortening_interval"]];

/** The steps. `atStripe` says them in the trace and lets Stripe refuse them. */
export function createMerchantSteps(world: World, atStripe: AtStripe) {
  const { random, scheduler, stripe } = world;
  const { tables, control } = stripe;

  const someLive = (): Subscription | null => {
    const live = [...tables.subscriptions.values()].filter(({ status }) => status !== "canceled");
    return live.length === 0 ? null : world.recent(live);
  };

  /** The catalog's monthly and yearly prices. */
  const somePrice = (): string => {
    const prices = [...tables.prices.values()].filter(
      ({ recurring, active }) => recurring !== null && active,
    );
    return prices.length === 0 ? "price_none" : random.pick(prices).id;
  };

  const somePaid = (): Invoice | null => {
    const paid = [...tables.invoices.values()].filter(({ status }) => status === "paid");
    return paid.length === 0 ? null : world.recent(paid);
  };

  function move(to: () => { price?: string; quantity?: number }): void {
    const subscription = someLive();
    if (subscription === null) return;
    const wish = { ...to(), proration: random.pick(PRORATIONS) };
    atStripe(`${subscription.id} is moved ${JSON.stringify(wish)}`, () =>
      control.moveSubscription(subscription.id, wish),
    );
  }

  function inPortal(name: string, form: Record<string, string>): void {
    const subscription = someLive();
    if (subscription === null) return;
    const update: Partial<PortalFeatures["subscription_update"]> = {
      proration_behavior: random.pick(PRORATIONS),
      schedule_at_period_end: {
        conditions: random.pick(WAITS).map((type) => ({ type })),
      },
    };
    const words = `${name} ${JSON.stringify({ ...form, ...update })}`;
    atStripe(`${subscription.id} in the portal: ${words}`, () => {
      const act = { name, form: { ...form, subscription: subscription.id } };
      const problem = stripe.inPortal(subscription.customer, update, act);
      if (problem !== null) world.note(`at Stripe: the portal refuses (${problem.message})`);
    });
  }

  /** There and back, as often as it pays. */
  async function toAndFro(): Promise<void> {
    const subscription = someLive();
    const from = subscription?.items.data[0]?.price.id;
    if (subscription === null || from === undefined) return;
    const to = somePrice();
    const rounds = random.between(1, 3);
    for (const price of Array.from({ length: rounds }, () => [to, from]).flat()) {
      atStripe(`${subscription.id} switches to ${price}`, () =>
        control.moveSubscription(subscription.id, { price, proration: "always_invoice" }),
      );
      await new Promise<void>((resolve) => {
        scheduler.after(random.between(0, 5_000), null, resolve);
      });
    }
  }

  function creditNote(): void {
    const invoice = somePaid();
    if (invoice === null || invoice.total <= 0) return;
    const amount = random.between(1, Math.ceil(invoice.total / random.pick([1, 4])));
    const to = random.pick(["creditAmount", "refundAmount", "outOfBandAmount"] as const);
    atStripe(`credit note of ${amount} on ${invoice.id} as ${to}`, () =>
      control.issueCreditNote({ invoice: invoice.id, amount, [to]: amount }),
    );
  }

  /** Before it is paid: less is asked for. */
  function lowerOpen(): void {
    const open = [...tables.invoices.values()].filter(({ status }) => status === "open");
    if (open.length === 0) return;
    const { id, amount_remaining: left } = world.recent(open);
    const amount = random.between(1, Math.max(1, left));
    atStripe(`${id} is lowered by ${amount}`, () =>
      control.issueCreditNote({ invoice: id, amount }),
    );
  }

  return {
    portalSwitch: () => inPortal("switch", { price: somePrice() }),
    portalQuantity: () => inPortal("quantity", { quantity: String(random.between(1, 5)) }),
    portalCancel: () => inPortal("cancel", {}),
    move: () => move(() => ({ price: somePrice() })),
    quantity: () => move(() => ({ quantity: random.between(1, 5) })),
    toAndFro,
    creditNote,
    lowerOpen,
    voidNote: () => {
      const notes = [...tables.creditNotes.values()].filter(({ status }) => status === "issued");
      if (notes.length === 0) return;
      const { id } = world.recent(notes);
      atStripe(`${id} is void`, () => control.voidCreditNote(id));
    },
    balance: () => {
      const customers = [...tables.customers.keys()];
      if (customers.length === 0) return;
      const id = world.recent(customers);
      const amount = random.between(-3_000, 1_500);
      atStripe(`${id} balance ${amount}`, () => control.adjustBalance(id, amount));
    },
    cancelAt: () => {
      const subscription = someLive();
      if (subscription === null) return;
      const days = random.pick([null, random.between(1, 100)]);
      const at = days === null ? null : new Date(scheduler.nowMs + days * DAY_MS);
      atStripe(`${subscription.id} is to end in ${days} days`, () =>
        control.setCancelAt(subscription.id, at),
      );
    },
    cancelNow: () => {
      const subscription = someLive();
      if (subscription === null) return;
      const how = { prorate: random.chance(0.7), invoiceNow: random.chance(0.7) };
      atStripe(`${subscription.id} ends now ${JSON.stringify(how)}`, () =>
        control.cancelSubscriptionNow(subscription.id, how),
      );
    },
  };
}
