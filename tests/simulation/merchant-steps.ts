// What merchants do to plans at Stripe behind our back, and people in a billing portal that is not the one we open.
import type { PortalFeatures } from "../../server/sandbox/src/stripe/objects/types.ts";
import type { AtStripe } from "./outside-steps.ts";
import type { World } from "./world.ts";

const DAY_MS = 86_400_000;
const PRORATIONS = ["always_invoice", "create_prorations", "none"] as const;
const WAITS = [[], ["decreasing_item_amount"], ["decreasing_item_amount", "shortening_interval"]];

/** The steps. `atStripe` says them in the trace and lets Stripe refuse them. */
export function createMerchantSteps(world: World, atStripe: AtStripe) {
  const { random, scheduler, stripe, one } = world;
  const { tables, control } = stripe;

  const live = () =>
    [...tables.subscriptions.values()].filter(({ status }) => status !== "canceled");
  const invoices = (wanted: "paid" | "open") =>
    [...tables.invoices.values()].filter(({ status }) => status === wanted);

  /** The catalog's monthly and yearly prices. */
  const somePrice = (): string => {
    const prices = [...tables.prices.values()].filter(
      ({ recurring, active }) => recurring !== null && active,
    );
    return prices.length === 0 ? "price_none" : random.pick(prices).id;
  };

  const move = (to: () => { price?: string; quantity?: number }) =>
    one(live(), ({ id }) => {
      const wish = { ...to(), proration: random.pick(PRORATIONS) };
      atStripe(`${id} is moved ${JSON.stringify(wish)}`, () => control.moveSubscription(id, wish));
    });

  const inPortal = (name: string, form: Record<string, string>) =>
    one(live(), ({ id, customer }) => {
      const update: Partial<PortalFeatures["subscription_update"]> = {
        proration_behavior: random.pick(PRORATIONS),
        schedule_at_period_end: {
          conditions: random.pick(WAITS).map((type) => ({ type })),
        },
      };
      const words = `${name} ${JSON.stringify({ ...form, ...update })}`;
      atStripe(`${id} in the portal: ${words}`, () => {
        const act = { name, form: { ...form, subscription: id } };
        const problem = stripe.inPortal(customer, update, act);
        if (problem !== null) world.note(`at Stripe: the portal refuses (${problem.message})`);
      });
    });

  return {
    portalSwitch: () => inPortal("switch", { price: somePrice() }),
    portalQuantity: () => inPortal("quantity", { quantity: String(random.between(1, 5)) }),
    portalCancel: () => inPortal("cancel", {}),
    move: () => move(() => ({ price: somePrice() })),
    quantity: () => move(() => ({ quantity: random.between(1, 5) })),
    /** There and back, as often as it pays. */
    toAndFro: () =>
      one(live(), async ({ id, items }) => {
        const from = items.data[0]?.price.id;
        if (from === undefined) return;
        const to = somePrice();
        const rounds = random.between(1, 3);
        for (const price of Array.from({ length: rounds }, () => [to, from]).flat()) {
          atStripe(`${id} switches to ${price}`, () =>
            control.moveSubscription(id, { price, proration: "always_invoice" }),
          );
          await new Promise<void>((resolve) => {
            scheduler.after(random.between(0, 5_000), null, resolve);
          });
        }
      }),
    creditNote: () =>
      one(invoices("paid"), ({ id, total }) => {
        if (total <= 0) return;
        const amount = random.between(1, Math.ceil(total / random.pick([1, 4])));
        const to = random.pick(["creditAmount", "refundAmount", "outOfBandAmount"] as const);
        atStripe(`credit note of ${amount} on ${id} as ${to}`, () =>
          control.issueCreditNote({ invoice: id, amount, [to]: amount }),
        );
      }),
    /** Before it is paid: less is asked for. */
    lowerOpen: () =>
      one(invoices("open"), ({ id, amount_remaining: left }) => {
        const amount = random.between(1, Math.max(1, left));
        atStripe(`${id} is lowered by ${amount}`, () =>
          control.issueCreditNote({ invoice: id, amount }),
        );
      }),
    voidNote: () =>
      one(
        [...tables.creditNotes.values()].filter(({ status }) => status === "issued"),
        ({ id }) => atStripe(`${id} is void`, () => control.voidCreditNote(id)),
      ),
    balance: () =>
      one([...tables.customers.keys()], (id) => {
        const amount = random.between(-3_000, 1_500);
        atStripe(`${id} balance ${amount}`, () => control.adjustBalance(id, amount));
      }),
    cancelAt: () =>
      one(live(), ({ id }) => {
        const days = random.pick([null, random.between(1, 100)]);
        const at = days === null ? null : new Date(scheduler.nowMs + days * DAY_MS);
        atStripe(`${id} is to end in ${days} days`, () => control.setCancelAt(id, at));
      }),
    cancelNow: () =>
      one(live(), ({ id }) => {
        const how = { prorate: random.chance(0.7), invoiceNow: random.chance(0.7) };
        atStripe(`${id} ends now ${JSON.stringify(how)}`, () =>
          control.cancelSubscriptionNow(id, how),
        );
      }),
  };
}
