// The sandbox's objects have the fields of the real API, according to Stripe's own fixtures.
import { readFileSync } from "node:fs";
import { beforeAll, expect, it } from "vitest";
import type Stripe from "stripe";
import { idOf, useWorld } from "./support.ts";

type Bag = { [field: string]: unknown };

const { resources } = JSON.parse(
  readFileSync(new URL("./fixtures/objects.json", import.meta.url), "utf8"),
) as { resources: { [name: string]: Bag } };

/** Fields that the fixtures contain, but that the real API omits unless they apply or are requested. */
const ONLY_ON_REQUEST: { [name: string]: string[] } = {
  charge: ["refunds"],
  // From older API versions; now `parent.subscription_details.subscription`.
  invoice: ["subscription"],
  // The note's line is a custom one, which credits no invoice line.
  credit_note_line_item: ["invoice_line_item"],
};
/** The fields whose inner keys are checked too. In others the fixtures fill all oneOf branches simultaneously. */
const INNER: { [name: string]: string[] } = {
  "checkout.session": [
    "total_details",
    "automatic_tax",
    "custom_text",
    "phone_number_collection",
    "managed_payments",
  ],
  invoice: ["status_transitions", "payment_settings", "automatic_tax", "lines"],
  subscription: ["items", "cancellation_details", "billing_mode"],
  line_item: ["period"],
  invoice_payment: ["status_transitions"],
  customer: ["invoice_settings"],
  charge: ["billing_details", "outcome"],
  dispute: ["evidence", "evidence_details"],
  event: ["data", "request"],
  subscription_schedule: ["current_phase", "default_settings"],
  "billing_portal.configuration": ["features", "business_profile", "login_page"],
  credit_note: ["lines"],
  invoiceitem: ["period", "pricing"],
};

const world = useWorld();
const { stripe } = world;
const objects = new Map<string, Bag>();

/** Creates and keeps the objects of schedules, credit and the portal. */
async function keepBillingObjects(
  keep: (name: string, object: unknown) => void,
  of: { customer: string; subscription: Stripe.Subscription; invoice: Stripe.Invoice },
): Promise<void> {
  keep(
    "subscription_schedule",
    await stripe.subscriptionSchedules.create({ from_subscription: of.subscription.id }),
  );
  keep(
    "billing_portal.configuration",
    await stripe.billingPortal.configurations.create({
      features: { invoice_history: { enabled: true } },
    }),
  );
  keep(
    "customer_balance_transaction",
    await stripe.customers.createBalanceTransaction(of.customer, { amount: -5, currency: "usd" }),
  );
  keep(
    "invoiceitem",
    await stripe.invoiceItems.create({ customer: of.customer, amount: 5, currency: "usd" }),
  );
  const note = await stripe.creditNotes.create({
    invoice: of.invoice.id,
    lines: [{ type: "custom_line_item", description: "Sorry", quantity: 1, unit_amount: 5 }],
    credit_amount: 5,
  });
  keep("credit_note", note);
  keep("credit_note_line_item", note.lines.data[0]);
}

beforeAll(async () => {
  const keep = (name: string, object: unknown): void => {
    objects.set(name, JSON.parse(JSON.stringify(object)) as Bag);
  };
  const price = await stripe.prices.create({
    currency: "usd",
    unit_amount: 999,
    recurring: { interval: "month" },
    product_data: { name: "Basic" },
  });
  keep("price", price);
  keep("product", await stripe.products.retrieve(idOf(price.product)));
  const customer = await stripe.customers.create({ email: "shape@example.com" });
  const open = await stripe.checkout.sessions.create({
    mode: "subscription",
    customer: customer.id,
    success_url: "http://localhost:3000/",
    line_items: [{ price: price.id, quantity: 1 }],
  });
  world.sandbox.control.completeCheckout(open.id);
  const session = await stripe.checkout.sessions.retrieve(open.id, { expand: ["line_items"] });
  keep("item", session.line_items?.data[0]);
  const { line_items: _lines, ...bare } = session;
  keep("checkout.session", bare);
  const invoice = await stripe.invoices.retrieve(idOf(session.invoice));
  keep("invoice", invoice);
  keep("line_item", invoice.lines.data[0]);
  const [payment] = (await stripe.invoicePayments.list({ invoice: invoice.id })).data;
  keep("invoice_payment", payment);
  const subscription = await stripe.subscriptions.retrieve(idOf(session.subscription));
  keep("subscription", subscription);
  keep("subscription_item", subscription.items.data[0]);
  const intent = await stripe.paymentIntents.retrieve(idOf(payment?.payment.payment_intent));
  keep("payment_intent", intent);
  keep("charge", await stripe.charges.retrieve(idOf(intent.latest_charge)));
  keep("payment_method", await stripe.paymentMethods.retrieve(idOf(intent.payment_method)));
  keep("customer", await stripe.customers.retrieve(customer.id));
  keep("refund", await stripe.refunds.create({ payment_intent: intent.id, amount: 100 }));
  keep("dispute", world.sandbox.control.openDispute(intent.id));
  await keepBillingObjects(keep, { customer: customer.id, subscription, invoice });
  const coupon = await stripe.coupons.create({ percent_off: 20, duration: "once" });
  keep("coupon", coupon);
  keep(
    "promotion_code",
    await stripe.promotionCodes.create({ promotion: { type: "coupon", coupon: coupon.id } }),
  );
  keep(
    "billing_portal.session",
    await stripe.billingPortal.sessions.create({ customer: customer.id }),
  );
  await stripe.webhookEndpoints.create({ url: world.receiver.url, enabled_events: ["*"] });
  const [endpoint] = (await stripe.webhookEndpoints.list({ limit: 1 })).data;
  keep("webhook_endpoint", endpoint);
  keep("event", (await stripe.events.list({ limit: 1 })).data[0]);
  keep("balance", await stripe.balance.retrieve());
});

it.each(Object.keys(resources).filter((name) => name !== "account" && name !== "discount"))(
  "%s has every field",
  (name) => {
    const made = objects.get(name);
    const real = resources[name];
    expect(made, `no ${name} was made`).toBeDefined();
    const missing = Object.keys(real ?? {}).filter(
      (field) => !(field in (made ?? {})) && !ONLY_ON_REQUEST[name]?.includes(field),
    );
    expect(missing).toEqual([]);
    for (const field of INNER[name] ?? []) {
      const inner = made?.[field];
      const measure = real?.[field];
      if (field === "data") continue;
      expect(
        Object.keys(measure as Bag).filter((key) => !(key in (inner as Bag))),
        `${name}.${field}`,
      ).toEqual([]);
    }
  },
);

it("objects carry what the SDK's types call required, deep inside too", async () => {
  const inside = (name: string, path: string): unknown =>
    path.split(".").reduce<unknown>((at, key) => (at as Bag | undefined)?.[key], objects.get(name));
  const account = (await world.stripe.accounts.retrieveCurrent()) as unknown as Bag;
  objects.set("account", account);
  for (const [name, path] of [
    ["charge", "payment_method_details.card.electronic_commerce_indicator"],
    ["subscription", "trial_settings.end_behavior.billing_cycle_anchor"],
    ["dispute", "evidence_details.submission_method"],
    ["account", "business_profile.support_url"],
    ["account", "business_profile.minority_owned_business_designation"],
    ["account", "settings.branding.icon"],
    ["account", "settings.card_payments.statement_descriptor_prefix"],
    ["account", "settings.payments.statement_descriptor"],
    ["subscription_schedule", "pause_schedules"],
    ["billing_portal.configuration", "features.subscription_pause.duration.type"],
  ] as const) {
    expect(inside(name, path), `${name}.${path}`).not.toBeUndefined();
  }
});
