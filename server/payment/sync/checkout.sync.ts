// Syncs a checkout session: closes our checkout, settles its payment, grants what was bought.
import { DAY_MS } from "../../lib/time.ts";
import type { Checkout, NewPayment } from "../payment.types.ts";
import type { PaymentTables, PaymentTransaction } from "../ports.ts";
import { isRefusal, unlessMissing } from "../stripe/errors.ts";
import type { StripeCheckout } from "../stripe/port.ts";
import { allOf, ignored, type SyncDeps, type SyncEffect, unknownToStripe } from "./apply-sync.ts";
import { findCheckout, restoreCheckout } from "./checkout-lookup.ts";
import { invoiceEffect } from "./invoice.sync.ts";
import { possibleRefundsEffect, paymentRefundsEffect } from "./payment-refunds.ts";
import { refundWhole } from "./refund-whole.ts";
import { isErased, subscriptionEffect } from "./subscription.sync.ts";

/** After this long, an unpaid checkout is no longer expected to be paid. */
const GRACE_MS = 3 * DAY_MS;

/**
 * Reads a checkout session at Stripe, with the subscription it started and any money given back. `refundedIntentId`: a
 * payment intent of the session whose refunds or disputes have changed.
 */
export async function checkoutEffect(
  deps: SyncDeps,
  sessionId: string,
  refundedIntentId: string | null = null,
): Promise<SyncEffect> {
  let session: StripeCheckout;
  try {
    session = await deps.stripe.getCheckout(sessionId);
  } catch (error) {
    if (!isRefusal(error, "missing")) throw error;
    return unknownSessionEffect(deps, sessionId, error);
  }
  const checkout = await findCheckout(deps.store, session);
  if (checkout === null) return lostCheckoutEffect(deps, session);
  return checkout.kind === "PLAN"
    ? planEffect(deps, checkout, session, refundedIntentId)
    : packageEffect(deps, checkout, session, refundedIntentId);
}

/**
 * The effect of a session Stripe does not know. Long after its expiry it can no longer be paid, so it is closed. That
 * would also be so with the key of another account: if it was paid after all, it is granted once the right key is back
 * and its event is retried.
 */
async function unknownSessionEffect(
  { store, now }: SyncDeps,
  sessionId: string,
  missing: unknown,
): Promise<SyncEffect> {
  const checkout = await store.checkouts.findBySession(sessionId);
  if (checkout === null) return unknownToStripe("this checkout session");
  // Ours and perhaps still payable, yet unknown to Stripe, e.g. with another account's key: fail, to be retried.
  if (checkout.expiresAt.getTime() + GRACE_MS > now()) throw missing;
  return {
    kind: "effect",
    userId: checkout.userId,
    unknownBecause: "Stripe does not know this checkout session, whose time is over.",
    apply: async (tx) => {
      await tx.checkouts.close(checkout.id, { status: "EXPIRED", stripeSessionId: sessionId });
      await tx.payments.failUnpaid(checkout.id);
      return "done";
    },
  };
}

/**
 * The effect of a session that has no checkout here: a paid one of ours that the database has lost is restored and
 * treated like any other; all others are not ours.
 */
async function lostCheckoutEffect(deps: SyncDeps, session: StripeCheckout): Promise<SyncEffect> {
  const checkout = isPaid(session) ? await restoreCheckout(deps.store, session) : null;
  if (checkout === null) return ignored("This checkout session was not opened by this server.");
  deps.logger.warn(
    { sessionId: session.id, userId: checkout.userId },
    "paid checkout missing from the database; restored from Stripe",
  );
  const entry: SyncEffect = {
    kind: "effect",
    userId: checkout.userId,
    apply: async (tx) => {
      if ((await tx.checkouts.find(checkout.id)) === null)
        await tx.checkouts.create(checkout, null);
      if ((await tx.payments.find({ id: checkout.id })) === null)
        await tx.payments.create(pendingPayment(checkout, session.id));
      return "done";
    },
  };
  return allOf(checkout.userId, [entry, await packageEffect(deps, checkout, session, null)]);
}

/** Combines a paid package's purchase with any money given back. */
async function withMoneyBack(
  deps: SyncDeps,
  { id, userId }: Checkout,
  { session, refundedIntentId }: { session: StripeCheckout; refundedIntentId: string | null },
  purchase: SyncEffect,
): Promise<SyncEffect> {
  const { paymentIntentId } = session;
  if (paymentIntentId === null) return purchase;
  const payment = { key: { id }, userId, paymentIntentIds: [paymentIntentId], invoice: null };
  const readRefunds = refundedIntentId === null ? possibleRefundsEffect : paymentRefundsEffect;
  const refunds = await readRefunds(deps, payment);
  return refunds === null ? purchase : allOf(userId, [purchase, refunds]);
}

/** For a plan, the first invoice creates the payment and its credits. */
async function planEffect(
  deps: SyncDeps,
  checkout: Checkout,
  session: StripeCheckout,
  refundedIntentId: string | null,
): Promise<SyncEffect> {
  const { userId } = checkout;
  const closing: SyncEffect = {
    kind: "effect",
    userId,
    apply: async (tx) => {
      await closeCheckout(deps, tx, checkout, session);
      return "done";
    },
  };
  if (session.subscriptionId === null) return closing;
  const begun =
    session.invoiceId === null
      ? await subscriptionEffect(deps, session.subscriptionId)
      : await invoiceEffect(deps, session.invoiceId, refundedIntentId);
  return allOf(userId, [closing, begun]);
}

async function packageEffect(
  deps: SyncDeps,
  checkout: Checkout,
  session: StripeCheckout,
  refundedIntentId: string | null,
): Promise<SyncEffect> {
  const unwanted = await whyUnwanted(deps.store, checkout, session);
  if (unwanted !== null) await refundSession(deps, session, unwanted);
  const isUnpayable = session.status === "expired" || (await hasFailed(deps, session));
  const isOver = unwanted !== null || isUnpayable;
  const purchase: SyncEffect = {
    kind: "effect",
    userId: checkout.userId,
    apply: async (tx) => {
      await closeCheckout(deps, tx, checkout, session);
      if (!isPaid(session) || unwanted !== null) await notePayment(tx, checkout, session, isOver);
      else if (await isForErasedAccount(tx, checkout)) return "stale";
      else await grantPackage(deps, tx, checkout, session);
      return "done";
    },
  };
  if (!isPaid(session) || unwanted !== null) return purchase;
  // If we learn of it late, it may already have been refunded.
  const isFirst = ((await deps.store.payments.find({ id: checkout.id }))?.paidAt ?? null) === null;
  return isFirst || refundedIntentId !== null
    ? withMoneyBack(deps, checkout, { session, refundedIntentId }, purchase)
    : purchase;
}

/** Why a paid session grants nothing: it was not paid as offered, or the account was erased. Null when it grants. */
async function whyUnwanted(
  store: PaymentTables,
  checkout: Checkout,
  session: StripeCheckout,
): Promise<"mispriced" | "erased" | null> {
  if (!isPaid(session)) return null;
  if (!matchesOffer(session, checkout)) return "mispriced";
  return (await isForErasedAccount(store, checkout)) ? "erased" : null;
}

/** Whether the account was erased before its payment arrived: a bank may take days. */
async function isForErasedAccount(
  { customers, payments }: Pick<PaymentTables, "customers" | "payments">,
  { id, userId }: Checkout,
): Promise<boolean> {
  // In this order: an erased account is granted nothing more, so a payment found unpaid after that stays unpaid.
  if (!(await isErased({ customers }, userId))) return false;
  return ((await payments.find({ id }))?.paidAt ?? null) === null;
}

/** Refunds a session for which nothing is granted. */
async function refundSession(
  deps: SyncDeps,
  { id, paymentIntentId, amountTotal }: StripeCheckout,
  reason: "mispriced" | "erased",
): Promise<void> {
  if (reason === "mispriced")
    deps.logger.error({ sessionId: id }, "checkout paid at another price");
  else deps.logger.warn({ sessionId: id }, "checkout paid after its account was deleted");
  if (paymentIntentId === null) return;
  const order = { paymentIntentId, orderKey: `${reason}:${id}`, reason };
  await refundWhole(deps, order, amountTotal);
}

/** Whether Stripe charged for what we offered: the recorded offer counts, metadata never does. */
export function matchesOffer(
  session: Pick<StripeCheckout, "amountSubtotal" | "currency">,
  offer: Pick<Checkout, "amount" | "currency">,
): boolean {
  if (session.currency !== null && session.currency !== offer.currency) return false;
  return session.amountSubtotal === null || session.amountSubtotal === offer.amount;
}

/** Whether a delayed payment has failed for good, rather than being still in progress. */
async function hasFailed({ stripe }: SyncDeps, session: StripeCheckout): Promise<boolean> {
  if (session.status !== "complete" || session.paymentStatus !== "unpaid") return false;
  if (session.paymentIntentId === null) return false;
  const status = await unlessMissing(stripe.getPaymentIntentStatus(session.paymentIntentId), null);
  return status === "requires_payment_method" || status === "canceled";
}

/** Closes the checkout once its session is no longer open, so that the next one may open. */
async function closeCheckout(
  { now }: SyncDeps,
  tx: PaymentTransaction,
  checkout: Checkout,
  session: StripeCheckout,
): Promise<void> {
  if (session.status === "open") return;
  await tx.checkouts.close(checkout.id, {
    status: session.status === "complete" ? "COMPLETE" : "EXPIRED",
    stripeSessionId: session.id,
  });
  // A plan's first invoice is paid within a day or never; if it is paid after all, that still counts.
  const isLate = session.createdAt.getTime() + GRACE_MS < now();
  const isForgotten = checkout.kind === "PLAN" && session.paymentStatus === "unpaid" && isLate;
  if (session.status === "expired" || isForgotten) await tx.payments.failUnpaid(checkout.id);
}

function isPaid({ status, paymentStatus }: StripeCheckout): boolean {
  return (
    status === "complete" && (paymentStatus === "paid" || paymentStatus === "no_payment_required")
  );
}

/** Settles the payment and grants what was bought, once. */
async function grantPackage(
  { now }: SyncDeps,
  tx: PaymentTransaction,
  checkout: Checkout,
  session: StripeCheckout,
): Promise<void> {
  const { id, userId, credits } = checkout;
  const payment = await tx.payments.find({ id });
  if (payment !== null && payment.paidAt !== null) return;
  const paid = {
    status: "SUCCESS",
    amount: session.amountTotal ?? checkout.amount,
    currency: session.currency ?? checkout.currency,
    stripeSessionId: session.id,
    stripePaymentId: session.paymentIntentId,
    creditsPurchased: credits,
    paidAt: new Date(now()),
  };
  if (payment === null)
    await tx.payments.create({ ...pendingPayment(checkout, session.id), ...paid });
  else await tx.payments.update(id, paid);
  tx.noteMoney(paid.amount, paid.currency);
  await tx.applyToLedger([
    {
      kind: "grant",
      userId,
      amountCredits: credits,
      source: "PURCHASE",
      sourceId: id,
      grantKey: `payment:${id}`,
      expiresAt: null,
      description: `Bought ${credits} credits`,
    },
  ]);
}

/** Records what is known of a payment that is not settled: its payment intent, and whether it never will be. */
async function notePayment(
  tx: PaymentTransaction,
  checkout: Checkout,
  session: StripeCheckout,
  isOver: boolean,
): Promise<void> {
  const payment = await tx.payments.find({ id: checkout.id });
  if (payment === null || payment.paidAt !== null) return;
  await tx.payments.update(checkout.id, {
    ...(isOver ? { status: "FAILED" } : {}),
    ...(session.paymentIntentId === null ? {} : { stripePaymentId: session.paymentIntentId }),
  });
}

/** Returns the payment of a checkout before it is paid; it has the checkout's own id. */
export function pendingPayment(checkout: Checkout, sessionId: string): NewPayment {
  return {
    id: checkout.id,
    userId: checkout.userId,
    stripeSessionId: sessionId,
    packageId: checkout.kind === "PACKAGE" ? checkout.offerId : null,
    amount: checkout.amount,
    currency: checkout.currency,
    status: "PENDING",
    creditsPurchased: checkout.credits,
    createdAt: checkout.createdAt,
  };
}
