// Taking payments: payment intents, their charges, and the receipt URLs and balance transaction ids that go with them.
import type { Route } from "../api/route.ts";
import { cardOf } from "../customers/customers.ts";
import { createdRange, page } from "../api/lists.ts";
import { newCharge, newPaymentIntent } from "../objects/new-payment.ts";
import { newCard } from "../objects/new-catalog.ts";
import type { Charge, Customer, PaymentIntent } from "../objects/types.ts";
import { change, need, type World } from "../state/world.ts";

/** The outcome of a payment: paid immediately, declined, or settled later (bank debit). */
export type PaymentOutcome = "paid" | "declined" | "delayed";

const DECLINE = {
  type: "card_error",
  code: "card_declined",
  decline_code: "generic_decline",
  doc_url: "https://stripe.com/docs/error-codes/card-declined",
  message: "Your card was declined.",
};

/** Creates a payment intent and emits `payment_intent.created`. */
export function createIntent(
  world: World,
  given: Parameters<typeof newPaymentIntent>[2],
  created = world.wallNow(),
): PaymentIntent {
  const intent = newPaymentIntent(world.newId("pi"), created, given);
  world.tables.paymentIntents.set(intent.id, intent);
  world.emit("payment_intent.created", intent);
  return intent;
}

function makeCharge(
  world: World,
  intent: PaymentIntent,
  {
    status,
    customer,
    created,
  }: { status: Charge["status"]; customer: Customer | undefined; created: number },
): Charge {
  const id = world.newId("ch");
  const failing = status === "failed";
  let card = { id: "", last4: failing ? "0341" : "4242" };
  if (customer === undefined) {
    const loose = newCard(world.newId("pm"), created, {
      customer: null,
      email: null,
      last4: card.last4,
    });
    world.tables.paymentMethods.set(loose.id, loose);
    card.id = loose.id;
  } else {
    card = { ...cardOf(world, customer), last4: card.last4 };
  }
  const charge = newCharge(id, created, {
    intent,
    status,
    paymentMethod: card.id,
    last4: card.last4,
    email: customer?.email ?? null,
    receiptUrl: failing ? null : `${world.publicUrl}/receipts/${id}`,
    balanceTransaction: status === "succeeded" ? world.newId("txn") : null,
  });
  world.tables.charges.set(id, charge);
  return charge;
}

/** Attempts to charge an open intent. Events are in Stripe's order: the charge first, then the intent. */
export function confirmIntent(
  world: World,
  intent: PaymentIntent,
  outcome: PaymentOutcome,
  created = world.wallNow(),
): Charge {
  const customer =
    intent.customer === null ? undefined : world.tables.customers.get(intent.customer);
  const status = outcome === "paid" ? "succeeded" : outcome === "declined" ? "failed" : "pending";
  const charge = makeCharge(world, intent, { status, customer, created });
  world.emit(`charge.${status}`, charge);
  intent.latest_charge = charge.id;
  if (outcome === "paid") {
    intent.status = "succeeded";
    intent.amount_received = intent.amount;
    intent.payment_method = charge.payment_method;
    intent.last_payment_error = null;
    world.emit("payment_intent.succeeded", intent);
  } else if (outcome === "delayed") {
    intent.status = "processing";
    intent.payment_method = charge.payment_method;
    world.emit("payment_intent.processing", intent);
  } else {
    intent.status = "requires_payment_method";
    intent.payment_method = null;
    intent.last_payment_error = { ...DECLINE, charge: charge.id };
    world.emit("payment_intent.payment_failed", intent);
  }
  return charge;
}

/** Settles a delayed payment as succeeded or failed. */
export function settleDelayed(world: World, intent: PaymentIntent, paid: boolean): void {
  const charge = need(world.tables.charges, "charge", intent.latest_charge ?? "");
  charge.status = paid ? "succeeded" : "failed";
  charge.paid = paid;
  charge.captured = paid;
  charge.amount_captured = paid ? charge.amount : 0;
  charge.balance_transaction = paid ? world.newId("txn") : null;
  charge.failure_code = paid ? null : "debit_not_authorized";
  charge.failure_message = paid ? null : "The bank refused the debit.";
  world.emit(paid ? "charge.succeeded" : "charge.failed", charge);
  intent.status = paid ? "succeeded" : "requires_payment_method";
  intent.amount_received = paid ? intent.amount : 0;
  intent.last_payment_error = paid
    ? null
    : {
        ...DECLINE,
        code: "debit_not_authorized",
        message: "The bank refused the debit.",
        charge: charge.id,
      };
  world.emit(paid ? "payment_intent.succeeded" : "payment_intent.payment_failed", intent);
}

/** Cancels an unpaid intent. */
export function cancelIntent(world: World, intent: PaymentIntent): void {
  if (intent.status === "succeeded" || intent.status === "canceled") return;
  change(world, intent, "payment_intent.canceled", (it) => {
    it.status = "canceled";
    it.canceled_at = world.wallNow();
  });
}

/** Routes of this file. */
export const paymentRoutes: Route[] = [
  {
    method: "GET",
    path: "/v1/payment_intents",
    handle: ({ world, fields }) => {
      const customer = fields.text("customer");
      const created = createdRange(fields);
      const out = page(
        fields,
        "/v1/payment_intents",
        world.tables.paymentIntents.values(),
        (it) => (customer === undefined || it.customer === customer) && created(it.created),
      );
      fields.done();
      return { ...out };
    },
  },
  {
    method: "GET",
    path: "/v1/payment_intents/:id",
    handle: ({ world, ids }) => need(world.tables.paymentIntents, "payment_intent", ids[0] ?? ""),
  },
  {
    method: "GET",
    path: "/v1/charges",
    handle: ({ world, fields }) => {
      const customer = fields.text("customer");
      const intent = fields.text("payment_intent");
      const created = createdRange(fields);
      const out = page(
        fields,
        "/v1/charges",
        world.tables.charges.values(),
        (it) =>
          (customer === undefined || it.customer === customer) &&
          (intent === undefined || it.payment_intent === intent) &&
          created(it.created),
      );
      fields.done();
      return { ...out };
    },
  },
  {
    method: "GET",
    path: "/v1/charges/:id",
    handle: ({ world, ids }) => need(world.tables.charges, "charge", ids[0] ?? ""),
  },
];
