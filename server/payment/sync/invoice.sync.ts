// Syncs a subscription's invoice: once it is paid, its payment row and its credits, each grant once.
import { newId } from "../../lib/ids.ts";
import type { GrantOperation } from "../../ledger/ports.ts";
import {
  type ScheduledGrant,
  scheduledGrantKey,
  scheduleGrants,
  totalCredits,
} from "../catalog/invoice-credits.ts";
import {
  computeTakeBacks,
  decodeLines,
  encodeLines,
  type InvoiceLines,
} from "../catalog/kept-credits.ts";
import { readPaidLines } from "../catalog/paid-lines.ts";
import type { Payment } from "../payment.types.ts";
import type { PaymentTransaction } from "../ports.ts";
import { unlessMissing } from "../stripe/errors.ts";
import type { StripeInvoice, StripeSubscription } from "../stripe/port.ts";
import { allOf, ignored, type SyncDeps, type SyncEffect, unknownToStripe } from "./apply-sync.ts";
import { findCheckout } from "./checkout-lookup.ts";
import { extendExpiry } from "./late-expiry.ts";
import {
  possibleRefundsEffect,
  paymentRefundsEffect,
  type RefundTotals,
} from "./payment-refunds.ts";
import { returnedCreditsEffect } from "./returned-credits.ts";
import { isGranting } from "./subscription-status.ts";
import { fetchedSubscriptionEffect, readVersion } from "./subscription.sync.ts";
import { refundInvoice, type Unwanted, whyInvoiceIsUnwanted } from "./unwanted-subscription.ts";

/** A paid invoice, with everything found out about it. */
interface PaidInvoice {
  readonly invoice: StripeInvoice;
  readonly subscription: StripeSubscription;
  readonly bought: InvoiceLines;
  /** The checkout that started the subscription, if this is its first invoice. */
  readonly checkoutId: string | null;
  /** The payment intents that paid it. */
  readonly paymentIntentIds: readonly string[];
  /** The money given back so far; null when none is known. */
  readonly back: RefundTotals | null;
  /** Why what it sells is unwanted; null when it is wanted, or was already settled here. */
  readonly unwanted: Unwanted | null;
  readonly userId: string;
  /** Our payment's version when the sync began; null when there was none. */
  readonly seenVersion: number | null;
}

/**
 * Reads an invoice at Stripe, with its subscription and any money given back. `refundedIntentId`: a payment intent of
 * the invoice whose refunds or disputes have changed.
 */
export async function invoiceEffect(
  deps: SyncDeps,
  invoiceId: string,
  refundedIntentId: string | null = null,
): Promise<SyncEffect> {
  const { store, stripe } = deps;
  // Our version first, Stripe second: any write in between makes this effect stale.
  const known = await store.payments.find({ stripeInvoiceId: invoiceId });
  const invoice = await unlessMissing(stripe.getInvoice(invoiceId), null);
  if (invoice === null) return unknownToStripe("this invoice");
  const { subscriptionId } = invoice;
  if (subscriptionId === null || invoice.customerId === null)
    return ignored("The invoice is not for a subscription.");
  const version = await readVersion(store, subscriptionId);
  const subscription = await unlessMissing(stripe.getSubscription(subscriptionId), null);
  if (subscription === null) return unknownToStripe("this invoice's subscription");
  const { planId: paidPlanId, ...bought } = await readBought(deps, invoice, subscription, known);
  const state = await fetchedSubscriptionEffect(deps, subscription, { version, paidPlanId });
  if (state.kind === "ignored" || invoice.status !== "paid") return state;
  if (known === null && invoice.amountPaid > 0 && bought.lines.length === 0) {
    const priceIds = invoice.lines.map(({ priceId }) => priceId);
    deps.logger.warn({ invoiceId, subscriptionId, priceIds }, "paid invoice is for no plan");
  }

  const { userId } = state;
  const unwanted = mayBeUnwanted(known, refundedIntentId)
    ? await whyInvoiceIsUnwanted(store, userId, invoice, subscription)
    : null;
  if (unwanted !== null) await giveBack(deps, invoice, unwanted);
  const foundIds = invoice.amountPaid > 0 ? await findPaymentIntents(deps, invoice) : [];
  const knownIds = [known?.stripePaymentId ?? null, refundedIntentId].filter((id) => id !== null);
  const paymentIntentIds = [...new Set([...foundIds, ...knownIds])];
  const checkoutId = known === null ? await findCheckoutId(deps, invoice, userId) : null;
  const key = { stripeInvoiceId: invoice.id };
  const readRefunds = refundedIntentId === null ? possibleRefundsEffect : paymentRefundsEffect;
  const refunds =
    refundedIntentId !== null || mayBeReturned(invoice, known)
      ? await readRefunds(deps, { key, userId, paymentIntentIds, invoice })
      : null;
  const paid = {
    ...{ invoice, subscription, checkoutId, paymentIntentIds, userId, unwanted },
    // Stored with the payment: an erased account is sold nothing, however often the invoice is synced. A duplicate's
    // credits go back with its money, and return if the refund fails.
    bought: unwanted === "account deleted" ? { ...bought, lines: [] } : bought,
    ...{ back: refunds?.totals ?? null, seenVersion: known?.version ?? null },
  };
  return allOf(userId, [
    state,
    { kind: "effect", userId, apply: (tx) => writePaidInvoice(deps, tx, paid) },
    ...(refunds === null ? [] : [refunds]),
    returnedCreditsEffect(deps, userId, invoice.id),
  ]);
}

function isPaidHere(known: Payment | null): boolean {
  return known !== null && known.paidAt !== null;
}

/** Whether to check that it is wanted: before it is granted, and again if an unwanted one's refund may have failed. */
function mayBeUnwanted(known: Payment | null, refundedIntentId: string | null): boolean {
  return !isPaidHere(known) || (refundedIntentId !== null && known?.creditsPurchased === 0);
}

/** Refunds everything paid on an unwanted invoice. */
async function giveBack(deps: SyncDeps, invoice: StripeInvoice, reason: Unwanted): Promise<void> {
  const { id: invoiceId, subscriptionId } = invoice;
  deps.logger.warn({ invoiceId, subscriptionId, reason }, "unwanted invoice paid: it goes back");
  if (invoice.amountPaid > 0) await refundInvoice(deps, invoice, reason);
}

/** What the invoice bought: as stored when it was paid, otherwise by today's catalog. */
async function readBought(
  { catalog, logger }: SyncDeps,
  invoice: StripeInvoice,
  subscription: StripeSubscription,
  known: Payment | null,
): Promise<InvoiceLines & { planId?: string | undefined }> {
  const stored = decodeLines(known?.invoiceLines ?? null);
  if (stored !== null) return stored;
  const { id: invoiceId, currency } = invoice;
  const lines = await readPaidLines(catalog, invoice, ({ priceId }) =>
    logger.warn(
      { invoiceId, priceId, currency },
      "line left out: its price states no amount in this currency",
    ),
  );
  const planId = (lines.find(({ amount }) => amount >= 0) ?? lines[0])?.planId;
  return { anchor: subscription.billingAnchor, lines, planId };
}

/** Invoices of older API versions name their payment intent themselves. */
async function findPaymentIntents({ stripe }: SyncDeps, invoice: StripeInvoice): Promise<string[]> {
  if (invoice.paymentIntentId !== null) return [invoice.paymentIntentId];
  // If Stripe knows none, the invoice is paid all the same; a later refund finds it by the payment intent.
  const payments = await unlessMissing(stripe.listInvoicePayments(invoice.id), []);
  return payments.map(({ paymentIntentId }) => paymentIntentId);
}

/** The checkout that started the subscription: its pending payment becomes this invoice's. */
async function findCheckoutId(
  { store, stripe }: SyncDeps,
  { billingReason, subscriptionId }: StripeInvoice,
  userId: string,
): Promise<string | null> {
  if (billingReason !== "subscription_create" || subscriptionId === null) return null;
  const session = await stripe.findCheckoutBySubscription(subscriptionId);
  if (session === null) return null;
  const checkout = await findCheckout(store, session);
  return checkout?.userId === userId ? checkout.id : null;
}

/**
 * Whether to look for money given back. An invoice we learn of late may have been refunded long ago. If a payment was
 * partly given back, each new month's credits are reduced by the same share. Its status decides, not the credits taken
 * back, because an upgrade may be disputed before any of its credits are due.
 */
function mayBeReturned(invoice: StripeInvoice, known: Payment | null): boolean {
  if (invoice.creditNotesAmount > 0) return true;
  return isPaidHere(known) ? known?.status !== "SUCCESS" : invoice.amountPaid > 0;
}

async function writePaidInvoice(
  { now }: SyncDeps,
  tx: PaymentTransaction,
  paid: PaidInvoice,
): Promise<"done" | "stale"> {
  const { invoice, bought, checkoutId } = paid;
  const opened = checkoutId === null ? null : await tx.payments.find({ id: checkoutId });
  const known =
    (await tx.payments.find({ stripeInvoiceId: invoice.id })) ??
    (opened?.stripeInvoiceId === null ? opened : null);
  // Money was given back since Stripe was read, which reduces a new month's credits too.
  if (known !== null && known.version !== (paid.seenVersion ?? 0)) return "stale";
  if (!isPaidHere(known)) {
    // E.g. the account was erased since Stripe was read: what must be refunded first is not granted.
    const unwanted = await whyInvoiceIsUnwanted(tx, paid.userId, invoice, paid.subscription);
    if (unwanted !== paid.unwanted) return "stale";
  }
  const paymentId = known?.id ?? (opened === null ? checkoutId : null) ?? newId(now());
  const paidAt = known?.paidAt ?? invoice.paidAt ?? new Date(now());
  const scheduled = scheduleGrants(bought.lines, bought.anchor, paidAt);
  const due = selectDueGrants(scheduled, paid, known, now());
  const granted = await tx.grants.existing(due.map((grant) => scheduledGrantKey(paymentId, grant)));
  const missing = due.filter((grant) => !granted.has(scheduledGrantKey(paymentId, grant)));
  const newCredits = missing.reduce((sum, { credits }) => sum + credits, 0);
  await savePayment(tx, paid, { known, paymentId, paidAt, newCredits });
  await tx.applyToLedger(
    missing.map((grant) => {
      // A month that was held back is granted late, so it is given time to be spent.
      const isFirst = known === null || known.paidAt === null;
      const expiresAt = isFirst ? grant.expiresAt : extendExpiry(grant.expiresAt, now());
      return toGrant(paid.userId, paymentId, { ...grant, expiresAt });
    }),
  );
  return "done";
}

/** The first grant is what the payment itself bought; later months require that the subscription continues. */
function selectDueGrants(
  scheduled: readonly ScheduledGrant[],
  { subscription, back }: PaidInvoice,
  known: Payment | null,
  nowMs: number,
): ScheduledGrant[] {
  // Once all the money was given back, no more months are granted. If it returns (a won dispute), so do they.
  const continuesToGrant = isGranting(subscription.status) && !isGivenBack(known, back);
  return scheduled.filter(
    ({ credits, index, dueAt }) =>
      credits > 0 && (index === 0 || (continuesToGrant && dueAt.getTime() <= nowMs)),
  );
}

function isGivenBack(known: Payment | null, back: RefundTotals | null): boolean {
  if (known === null || back === null) return false;
  const { byRefunds, byDisputes } = computeTakeBacks(known, back);
  return known.creditsPurchased > 0 && byRefunds + byDisputes >= known.creditsPurchased;
}

async function savePayment(
  tx: PaymentTransaction,
  { invoice, subscription, bought, paymentIntentIds, userId }: PaidInvoice,
  payment: {
    readonly known: Payment | null;
    readonly paymentId: string;
    readonly paidAt: Date;
    readonly newCredits: number;
  },
): Promise<void> {
  const { known, paymentId: id, paidAt, newCredits } = payment;
  const boughtNow = {
    total: invoice.total,
    creditsWorth: totalCredits(bought.lines),
    invoiceLines: encodeLines(bought),
  };
  if (known !== null && known.paidAt !== null) {
    if (newCredits > 0 || known.invoiceLines === null)
      await tx.payments.update(id, {
        creditsPurchased: known.creditsPurchased + newCredits,
        ...(known.invoiceLines === null ? boughtNow : {}),
      });
    return;
  }
  const ours = await tx.subscriptions.findByStripeId(subscription.id);
  const data = {
    status: "SUCCESS",
    amount: invoice.amountPaid,
    currency: invoice.currency,
    stripeInvoiceId: invoice.id,
    stripePaymentId: paymentIntentIds[0] ?? null,
    subscriptionId: ours?.id ?? null,
    ...boughtNow,
    creditsPurchased: newCredits,
    paidAt,
  };
  if (known !== null) await tx.payments.update(id, data);
  else await tx.payments.create({ ...data, id, userId, createdAt: invoice.createdAt });
  tx.noteMoney(data.amount, data.currency);
}

function toGrant(userId: string, paymentId: string, grant: ScheduledGrant): GrantOperation {
  return {
    kind: "grant",
    userId,
    amountCredits: grant.credits,
    source: "SUBSCRIPTION",
    sourceId: paymentId,
    grantKey: scheduledGrantKey(paymentId, grant),
    expiresAt: grant.expiresAt,
    description: `Plan credits for the month from ${grant.dueAt.toISOString().slice(0, 10)}`,
  };
}
