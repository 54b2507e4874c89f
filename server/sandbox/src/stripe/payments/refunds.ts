// Refunds: full, partial, pending or failing, through the API or the controls.
import type { Call, Route } from "../api/route.ts";
import { listOfPayments } from "../api/lists.ts";
import { newRefund } from "../objects/new-payment.ts";
import type { Charge, Json, Metadata, Refund } from "../objects/types.ts";
import { apiError, badParam, mergeMetadata } from "../api/wire.ts";
import { change, need, snapshot, type World } from "../state/world.ts";

const REASONS = ["duplicate", "fraudulent", "requested_by_customer"] as const;

/** `pending` lasts until it is settled; `failing` is accepted at first and fails right after. */
export type RefundOutcome = "succeeded" | "pending" | "failing";

/**
 * The charge behind a charge or payment intent id. Throws 400 for an unknown id, or when the intent has no
 * successful charge.
 */
export function chargeOf(world: World, id: string, param: string): Charge {
  if (id.startsWith("ch_")) return need(world.tables.charges, "charge", id, param);
  const intent = need(world.tables.paymentIntents, "payment_intent", id, param);
  const charge = world.tables.charges.get(intent.latest_charge ?? "");
  if (charge === undefined || charge.status !== "succeeded") {
    throw badParam(
      `This PaymentIntent (${id}) does not have a successful charge to refund.`,
      param,
      "payment_intent_unexpected_state",
    );
  }
  return charge;
}

/**
 * Refunds a charge. `amount` is in minor units and defaults to all that is left. Throws 400 when too little is
 * left, or the charge is disputed.
 */
export function createRefund(
  world: World,
  charge: Charge,
  given: { amount?: number; reason?: string; metadata?: Metadata; outcome?: RefundOutcome },
): Refund {
  if (charge.refunded) {
    throw apiError({
      status: 400,
      type: "invalid_request_error",
      code: "charge_already_refunded",
      message: `Charge ${charge.id} has already been refunded.`,
    });
  }
  if (charge.disputed) {
    throw apiError({
      status: 400,
      type: "invalid_request_error",
      code: "charge_disputed",
      message: `Charge ${charge.id} has been charged back; cannot issue a refund.`,
    });
  }
  const left = charge.amount - charge.amount_refunded;
  const amount = given.amount ?? left;
  if (amount < 1) throw badParam("Invalid positive integer", "amount", "parameter_invalid_integer");
  if (amount > left) {
    throw badParam(
      `Refund amount (${amount}) is greater than unrefunded amount on charge (${left})`,
      "amount",
      "amount_too_large",
    );
  }
  const outcome = given.outcome ?? world.hidden.nextRefunds.shift() ?? "succeeded";
  const refund = newRefund(world.newId("re"), world.wallNow(), {
    charge,
    amount,
    reason: given.reason ?? null,
    metadata: given.metadata ?? {},
    status: outcome === "succeeded" ? "succeeded" : "pending",
    balanceTransaction: world.newId("txn"),
  });
  world.tables.refunds.set(refund.id, refund);
  const before = snapshot(charge);
  charge.amount_refunded += amount;
  charge.refunded = charge.amount_refunded === charge.amount;
  world.emit("refund.created", refund);
  world.emit("charge.refunded", charge, before);
  if (outcome === "failing") failRefund(world, refund);
  return refund;
}

/** Settles a pending refund as succeeded. */
export function succeedRefund(world: World, refund: Refund): void {
  if (refund.status !== "pending") return;
  change(world, refund, "refund.updated", (it) => {
    it.status = "succeeded";
  });
  world.emit("charge.refund.updated", refund);
}

/** Fails a refund, as when the bank returns the money. The charge no longer counts the amount as refunded. */
export function failRefund(world: World, refund: Refund): void {
  if (refund.status === "failed" || refund.status === "canceled") return;
  const before = snapshot(refund);
  refund.status = "failed";
  refund.failure_reason = "expired_or_canceled_card";
  refund.failure_balance_transaction = world.newId("txn");
  const charge = need(world.tables.charges, "charge", refund.charge);
  charge.amount_refunded -= refund.amount;
  charge.refunded = false;
  world.emit("refund.updated", refund, before);
  world.emit("charge.refund.updated", refund, before);
  world.emit("refund.failed", refund);
}

function create({ world, fields }: Call): Json {
  const intent = fields.text("payment_intent");
  const chargeId = fields.text("charge");
  const amount = fields.int("amount");
  const reason = fields.oneOf("reason", REASONS);
  const metadata = mergeMetadata({}, fields.metadata());
  fields.ignore("reverse_transfer", "refund_application_fee", "instructions_email", "currency");
  fields.done();
  if ((intent === undefined) === (chargeId === undefined)) {
    throw badParam(
      "One of the following params should be provided for this request: payment_intent or charge.",
      "charge",
      "parameter_missing",
    );
  }
  const charge =
    intent === undefined
      ? chargeOf(world, chargeId ?? "", "charge")
      : chargeOf(world, intent, "payment_intent");
  if (charge.status !== "succeeded") {
    throw badParam("This charge cannot be refunded.", "charge", "charge_not_refundable");
  }
  return createRefund(world, charge, { amount, reason, metadata });
}

/** Routes of this file. */
export const refundRoutes: Route[] = [
  { method: "POST", path: "/v1/refunds", handle: create },
  listOfPayments("/v1/refunds", (world) => world.tables.refunds),
  {
    method: "GET",
    path: "/v1/refunds/:id",
    handle: ({ world, ids }) => need(world.tables.refunds, "refund", ids[0] ?? ""),
  },
];
