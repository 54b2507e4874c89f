// Owns what a subscription's invoice came to: when paid, its payment row and its credits, slice by slice, each once.
import type { DatabaseTransaction } from "../../database/ports.ts";
import { newId } from "../../lib/ids.ts";
import type { GrantOperation } from "../../ledger/ports.ts";
import type { Catalogue } from "../catalog/catalog.ts";
import { checkoutOf } from "./checkout-lookup.ts";
import { type PaidLine, sliceKey, slicesOf, worthOf } from "../catalog/invoice-credits.ts";
import { decodeLines, encodeLines, type InvoiceLines } from "../catalog/kept-credits.ts";
import type { StripeInvoice, StripeSubscription } from "../stripe/port.ts";
import { isRefusal, unlessMissing } from "../stripe/errors.ts";
import type { MoneyBackSync } from "./refund.sync.ts";
import { returnsEffect } from "./returns.sync.ts";
import { isGranting, type SubscriptionSync } from "./subscription.sync.ts";
import { allOf, type PaymentDeps, type SyncEffect } from "./sync-transaction.ts";

/** Looks at one invoice. */
export type InvoiceSync = (invoiceId: string) => Promise<SyncEffect>;

/** The lines of an invoice with what their prices stand for; lines of prices that are not ours give nothing. */
export async function paidLines(
  catalogue: Catalogue,
  invoice: Pick<StripeInvoice, "lines">,
): Promise<(PaidLine & { readonly planId: string })[]> {
  const lines: (PaidLine & { readonly planId: string })[] = [];
  for (const line of invoice.lines) {
    if (line.priceId === null) continue;
    const priced = await catalogue.planOfPrice(line.priceId);
    if (priced === null) continue;
    lines.push({
      amount: line.amount,
      unitAmount: priced.price.unitAmount,
      interval: priced.price.interval ?? priced.plan.interval,
      monthlyCredits: priced.plan.credits,
      quantity: line.quantity,
      periodStart: line.periodStart,
      periodEnd: line.periodEnd,
      planId: priced.plan.id,
    });
  }
  return lines;
}

/** Makes the look at an invoice. */
export function createInvoiceSync(
  work: PaymentDeps,
  catalogue: Catalogue,
  subscriptions: SubscriptionSync,
  moneyBack: Pick<MoneyBackSync, "ofInvoice">,
): InvoiceSync {
  const { stripe } = work;
  const { models } = work.database;

  /** Invoices of older API versions name their payment intent themselves. */
  async function paymentIntentOf(invoice: StripeInvoice): Promise<string | null> {
    if (invoice.paymentIntentId !== null) return invoice.paymentIntentId;
    return stripe.findInvoicePaymentIntent(invoice.id).catch((error: unknown) => {
      // The invoice is paid all the same; a refund finds its way by the payment intent later.
      if (isRefusal(error, "missing")) return null;
      throw error;
    });
  }

  /** The payment opened with the checkout that began the subscription. */
  async function checkoutPaymentId(
    invoice: StripeInvoice,
    subscriptionId: string,
    userId: string,
  ): Promise<string | null> {
    if (invoice.billingReason !== "subscription_create") return null;
    const session = await stripe.findCheckoutBySubscription(subscriptionId);
    if (session === null) return null;
    const row = await checkoutOf(models, session);
    return row?.userId === userId ? row.id : null;
  }

  function applyPaid(
    invoice: StripeInvoice,
    subscription: StripeSubscription,
    facts: {
      bought: InvoiceLines;
      checkoutId: string | null;
      paymentIntentId: string | null;
      userId: string;
      /** Our payment's version when the look began; null: there was none. */
      seenVersion: number | null;
    },
  ) {
    return async (tx: DatabaseTransaction): Promise<"done" | "stale"> => {
      const now = work.now();
      const ours = await tx.models.subscription.findUnique({
        where: { stripeSubscriptionId: subscription.id },
        select: { id: true, status: true, planId: true },
      });
      const known =
        (await tx.models.payment.findUnique({ where: { stripeInvoiceId: invoice.id } })) ??
        (facts.checkoutId === null
          ? null
          : await tx.models.payment.findFirst({
              where: { id: facts.checkoutId, stripeInvoiceId: null },
            }));
      // Money went back since we looked: a new month owes its share of that too.
      if (known !== null && known.version !== (facts.seenVersion ?? 0)) return "stale";
      const paidAt = known?.paidAt ?? invoice.paidAt ?? new Date(now);
      const slices = slicesOf(facts.bought.lines, facts.bought.anchor, paidAt);
      const isTaken =
        known === null &&
        facts.checkoutId !== null &&
        (await tx.models.payment.count({ where: { id: facts.checkoutId } })) > 0;
      const paymentId = known?.id ?? (isTaken ? null : facts.checkoutId) ?? newId(now);
      // All of it is back: no more months. Should it come again (a won dispute), so do they.
      const isGivenBack =
        known !== null &&
        known.creditsPurchased > 0 &&
        known.refundedCredits + known.disputedCredits >= known.creditsPurchased;
      const goesOn = isGranting(subscription.status) && !isGivenBack;
      // The first slice is what the payment itself bought; later months depend on the subscription going on.
      const due = slices.filter(
        (slice) =>
          slice.credits > 0 && (slice.index === 0 || (goesOn && slice.dueAt.getTime() <= now)),
      );
      const keys = due.map((slice) => sliceKey(paymentId, slice));
      const granted = await tx.models.creditGrant.findMany({
        where: { grantKey: { in: keys } },
        select: { grantKey: true },
      });
      const have = new Set(granted.map(({ grantKey }) => grantKey));
      const missing = due.filter((slice) => !have.has(sliceKey(paymentId, slice)));
      const newCredits = missing.reduce((sum, slice) => sum + slice.credits, 0);
      if (known === null || known.paidAt === null) {
        const data = {
          status: "SUCCESS",
          amount: invoice.amountPaid,
          currency: invoice.currency,
          stripeInvoiceId: invoice.id,
          stripePaymentId: facts.paymentIntentId,
          subscriptionId: ours?.id ?? null,
          ...boughtBy(invoice, facts.bought),
          creditsPurchased: newCredits,
          paidAt,
        };
        if (known === null)
          await tx.models.payment.create({
            data: { ...data, id: paymentId, userId: facts.userId, createdAt: invoice.createdAt },
          });
        else await tx.models.payment.update({ where: { id: paymentId }, data });
      } else if (newCredits > 0 || known.invoiceLines === null) {
        await tx.models.payment.update({
          where: { id: paymentId },
          data: {
            creditsPurchased: { increment: newCredits },
            ...(known.invoiceLines === null ? boughtBy(invoice, facts.bought) : {}),
          },
        });
      }
      const grants = missing.map(
        (slice): GrantOperation => ({
          kind: "grant",
          userId: facts.userId,
          amountCredits: slice.credits,
          source: "SUBSCRIPTION",
          sourceId: paymentId,
          grantKey: sliceKey(paymentId, slice),
          expiresAt: slice.expiresAt,
          description: `Plan credits for the month from ${slice.dueAt.toISOString().slice(0, 10)}`,
        }),
      );
      if (grants.length > 0) await work.ledger.applyIn(tx, grants);
      return "done";
    };
  }

  /** What the invoice bought: as kept when it was paid, else by today's catalogue. */
  async function boughtOf(
    invoice: StripeInvoice,
    subscription: StripeSubscription,
    kept: string | null,
  ): Promise<InvoiceLines & { planId?: string }> {
    const stored = decodeLines(kept);
    if (stored !== null) return stored;
    const lines = await paidLines(catalogue, invoice);
    const planId = (lines.find(({ amount }) => amount >= 0) ?? lines[0])?.planId;
    return { anchor: subscription.billingAnchor, lines, planId };
  }

  async function lookAtSubscription(
    invoice: StripeInvoice,
    subscriptionId: string,
    kept: string | null,
  ) {
    const version = await subscriptions.versionOf(subscriptionId);
    const subscription = await unlessMissing(stripe.getSubscription(subscriptionId), null);
    if (subscription === null) return null;
    const bought = await boughtOf(invoice, subscription, kept);
    const state = await subscriptions.effectOfFetched(subscription, version, bought.planId);
    return { subscription, bought, state };
  }

  return async (invoiceId) => {
    // Our version first, Stripe's truth second: whoever writes in between makes this look stale.
    const known = await models.payment.findUnique({
      where: { stripeInvoiceId: invoiceId },
      select: { status: true, paidAt: true, version: true, invoiceLines: true },
    });
    const invoice = await unlessMissing(stripe.getInvoice(invoiceId), null);
    if (invoice === null) return { kind: "ignored", reason: "Stripe does not know this invoice." };
    if (invoice.subscriptionId === null || invoice.customerId === null)
      return { kind: "ignored", reason: "The invoice is not for a subscription." };
    const kept = known?.invoiceLines ?? null;
    const found = await lookAtSubscription(invoice, invoice.subscriptionId, kept);
    if (found === null)
      return { kind: "ignored", reason: "Stripe does not know this invoice's subscription." };
    const { subscription, bought, state } = found;
    if (state.kind === "ignored" || invoice.status !== "paid") return state;

    const { userId } = state;
    const paymentIntentId = invoice.amountPaid > 0 ? await paymentIntentOf(invoice) : null;
    const checkoutId =
      known === null ? await checkoutPaymentId(invoice, invoice.subscriptionId, userId) : null;
    const paid: SyncEffect = {
      kind: "effect",
      userId,
      apply: applyPaid(invoice, subscription, {
        bought: { anchor: bought.anchor, lines: bought.lines },
        checkoutId,
        paymentIntentId,
        userId,
        seenVersion: known?.version ?? null,
      }),
    };
    // A new month of a payment that is partly given back: the share of the new credits goes back with it. The status
    // tells, not the credits taken: an upgrade may be disputed before any of its credits are due.
    const hasGoneBack =
      invoice.creditNotesAmount > 0 ||
      (known !== null && known.paidAt !== null && known.status !== "SUCCESS");
    const back = hasGoneBack ? [await moneyBack.ofInvoice(invoice, paymentIntentId, userId)] : [];
    return allOf(userId, [state, paid, ...back, returnsEffect(work, userId, invoice.id)]);
  };
}

/** What a payment keeps of the invoice it stands for. */
function boughtBy(invoice: StripeInvoice, bought: InvoiceLines) {
  return {
    total: invoice.total,
    creditsWorth: worthOf(bought.lines),
    invoiceLines: encodeLines(bought),
  };
}
