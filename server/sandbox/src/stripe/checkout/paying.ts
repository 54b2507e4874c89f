// What happens to a checkout session: a discount, a payment, a decline, a delayed settlement, its expiry.
import { addCustomer } from "../customers/customers.ts";
import { discountOn } from "./discount.ts";
import {
  cancelIntent,
  confirmIntent,
  createIntent,
  type PaymentOutcome,
  settleDelayed,
} from "../payments/payments.ts";
import { EMPTY_ADDRESS } from "../objects/new-catalog.ts";
import { newCheckoutLine } from "../objects/new-checkout.ts";
import { startSubscription } from "../billing/subscribing.ts";
import type { CheckoutSession, Coupon, Customer, Json } from "../objects/types.ts";
import { badParam } from "../api/wire.ts";
import { need, type World } from "../state/world.ts";

/** Applies a coupon to an open session's lines and totals. */
export function applyDiscount(
  world: World,
  session: CheckoutSession,
  coupon: Coupon,
  codeId: string | null,
): void {
  const details = need(world.hidden.sessionDetails, "session", session.id);
  let left = discountOn(coupon, session.amount_subtotal);
  const all = left;
  details.lines = details.lines.map((line) => {
    const off = Math.min(left, line.amount_subtotal);
    left -= off;
    return newCheckoutLine(line.id, {
      price: line.price,
      quantity: line.quantity,
      description: line.description,
      discountAmount: off,
      isFree: details.trial !== undefined && line.price.recurring !== null,
    });
  });
  session.discounts = [{ coupon: codeId === null ? coupon.id : null, promotion_code: codeId }];
  session.amount_total = session.amount_subtotal - all;
  session.total_details = { ...session.total_details, amount_discount: all };
}

/** The coupon behind a promotion code that a person typed, ignoring case; undefined when no active code matches. */
export function findCode(
  world: World,
  typed: string,
): { coupon: Coupon; codeId: string | null } | undefined {
  const wanted = typed.trim().toUpperCase();
  for (const code of world.tables.promotionCodes.values()) {
    if (code.code.toUpperCase() !== wanted || !code.active) continue;
    const coupon = world.tables.coupons.get(code.promotion.coupon);
    if (coupon?.valid) return { coupon, codeId: code.id };
  }
  return undefined;
}

function customerFor(world: World, session: CheckoutSession, email: string): Customer | undefined {
  if (session.customer !== null) return world.tables.customers.get(session.customer);
  if (session.mode === "payment" && session.customer_creation !== "always") return undefined;
  const customer = addCustomer(world, { email, metadata: {} });
  session.customer = customer.id;
  return customer;
}

function details(customer: Customer | undefined, email: string): { [field: string]: Json } {
  return {
    address: { ...EMPTY_ADDRESS, country: "US", postal_code: "94102" },
    business_name: null,
    email: customer?.email ?? email,
    individual_name: null,
    name: customer?.name ?? "Test Person",
    phone: null,
    tax_exempt: "none",
    tax_ids: [],
  };
}

/**
 * Pays an open session. `declined` leaves it open, with a failed payment intent in `payment` mode. A session
 * that is not open is left unchanged, so paying twice pays once.
 */
export function paySession(
  world: World,
  session: CheckoutSession,
  outcome: PaymentOutcome,
  email = "person@example.com",
): void {
  expireIfDue(world, session);
  if (session.status !== "open") return;
  if (outcome === "delayed" && session.mode === "subscription") {
    throw badParam("The sandbox settles subscriptions by card only.", "outcome");
  }
  const hidden = need(world.hidden.sessionDetails, "session", session.id);
  if (outcome === "declined" && session.mode === "subscription") return;
  const customer = customerFor(world, session, session.customer_email ?? email);
  if (customer !== undefined) {
    if (outcome === "paid" && session.mode === "subscription")
      world.hidden.failingCards.delete(customer.id);
    customer.currency = customer.currency ?? session.currency;
  }
  if (session.mode === "subscription") {
    const made = startSubscription(world, {
      customer: need(world.tables.customers, "customer", session.customer ?? "", "customer"),
      lines: hidden.lines,
      metadata: hidden.subscriptionMetadata,
      coupon: world.tables.coupons.get(
        session.discounts?.[0]?.coupon ?? promotionCoupon(world, session) ?? "",
      ),
      trial: hidden.trial,
    });
    session.subscription = made.subscription.id;
    session.invoice = made.invoice.id;
    session.payment_status = hidden.trial === undefined ? "paid" : "no_payment_required";
  } else if (session.amount_total === 0) {
    // A no-cost order has no payment intent.
    session.payment_status = "no_payment_required";
  } else {
    const known =
      session.payment_intent === null
        ? undefined
        : world.tables.paymentIntents.get(session.payment_intent);
    const intent =
      known ??
      createIntent(world, {
        amount: session.amount_total,
        currency: session.currency,
        customer: session.customer,
        description: hidden.intentDescription,
        metadata: hidden.intentMetadata,
        setupFutureUsage: hidden.setupFutureUsage,
      });
    session.payment_intent = intent.id;
    confirmIntent(world, intent, outcome);
    if (outcome === "declined") return;
    session.payment_status = outcome === "paid" ? "paid" : "unpaid";
    hidden.delayed = outcome === "delayed";
  }
  session.status = "complete";
  session.url = null;
  session.customer_details = details(customer, email);
  redeem(world, session);
  world.emit("checkout.session.completed", session);
}

function promotionCoupon(world: World, session: CheckoutSession): string | null {
  const code = session.discounts?.[0]?.promotion_code;
  return code ? (world.tables.promotionCodes.get(code)?.promotion.coupon ?? null) : null;
}

function redeem(world: World, session: CheckoutSession): void {
  const code = session.discounts?.[0]?.promotion_code;
  if (code) need(world.tables.promotionCodes, "promotion code", code).times_redeemed += 1;
  const coupon = session.discounts?.[0]?.coupon ?? promotionCoupon(world, session);
  if (coupon) need(world.tables.coupons, "coupon", coupon).times_redeemed += 1;
}

/** Settles the delayed payment of a completed session. Returns false when there is none in progress. */
export function settleSession(world: World, session: CheckoutSession, paid: boolean): boolean {
  const hidden = world.hidden.sessionDetails.get(session.id);
  const intent = world.tables.paymentIntents.get(session.payment_intent ?? "");
  if (hidden?.delayed !== true || intent === undefined) return false;
  hidden.delayed = false;
  settleDelayed(world, intent, paid);
  session.payment_status = paid ? "paid" : "unpaid";
  world.emit(`checkout.session.async_payment_${paid ? "succeeded" : "failed"}`, session);
  return true;
}

/** Expires an open session, unpaid. */
export function expireSession(world: World, session: CheckoutSession): void {
  if (session.status !== "open") return;
  session.status = "expired";
  session.url = null;
  const intent = world.tables.paymentIntents.get(session.payment_intent ?? "");
  if (intent !== undefined) cancelIntent(world, intent);
  world.emit("checkout.session.expired", session);
}

/** Expires an open session that is past its `expires_at`. */
export function expireIfDue(world: World, session: CheckoutSession): void {
  if (session.status === "open" && session.expires_at <= world.wallNow())
    expireSession(world, session);
}
