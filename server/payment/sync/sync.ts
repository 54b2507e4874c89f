// Owns fulfil(purchase): the one way anything bought, renewed, given back or ended becomes true here.
import type { DatabaseTransaction } from "../../database/ports.ts";
import type { Catalogue } from "../catalog/catalog.ts";
import { createCheckoutSync } from "./checkout.sync.ts";
import { createInvoiceSync, type InvoiceSync } from "./invoice.sync.ts";
import { createMoneyBackSync } from "./refund.sync.ts";
import { unlessMissing } from "../stripe/errors.ts";
import type { StripeSubscription } from "../stripe/port.ts";
import { createSubscriptionSync } from "./subscription.sync.ts";
import {
  type PaymentDeps,
  type SyncResult,
  applySync,
  type SyncEffect,
} from "./sync-transaction.ts";

/** What to look at; the current truth is fetched from Stripe, so ids are all there is. */
export type Purchase =
  | { readonly kind: "checkout"; readonly sessionId: string }
  | { readonly kind: "invoice"; readonly invoiceId: string }
  | { readonly kind: "subscription"; readonly subscriptionId: string }
  | { readonly kind: "schedule"; readonly scheduleId: string }
  | { readonly kind: "creditNote"; readonly creditNoteId: string }
  | { readonly kind: "moneyBack"; readonly paymentIntentId: string }
  | { readonly kind: "charge"; readonly chargeId: string };

/** Fulfilment, for the webhook, the return page, reconcile, the jobs and the administrator alike. */
export interface Fulfilment {
  /**
   * Fetches Stripe's truth outside any transaction, then writes it in one: payment, checkout, subscription and ledger
   * entries, with `commitWith` (the event's row). Safe to repeat and to run in parallel: each paid purchase or invoice
   * is granted once. Throws PAYMENT_PROVIDER_ERROR, SERVICE_UNAVAILABLE.
   */
  fulfil(
    purchase: Purchase,
    commitWith?: (tx: DatabaseTransaction, settled: SyncResult) => Promise<void>,
  ): Promise<SyncResult>;
  /** Writes a subscription just changed through us. `version` = our row's before the change. */
  keep(subscription: StripeSubscription, version: number | null): Promise<SyncResult>;
  subscriptionVersion(stripeSubscriptionId: string): Promise<number | null>;
}

/** Makes fulfilment. */
export function createFulfilment(work: PaymentDeps, catalogue: Catalogue): Fulfilment {
  const subscriptions = createSubscriptionSync(work, catalogue);
  // Invoices and refunds settle each other when their events come in the other order.
  const moneyBack = createMoneyBackSync(work, {
    checkout: (sessionId) => checkout(sessionId),
    invoice: (invoiceId) => invoice(invoiceId),
  });
  const invoice: InvoiceSync = createInvoiceSync(work, catalogue, subscriptions, moneyBack);
  const checkout = createCheckoutSync(work, { effect: invoice }, subscriptions);

  async function look(purchase: Purchase): Promise<SyncEffect> {
    switch (purchase.kind) {
      case "checkout":
        return checkout(purchase.sessionId);
      case "invoice":
        return invoice(purchase.invoiceId);
      case "subscription":
        return subscriptions.effect(purchase.subscriptionId);
      case "schedule": {
        const schedule = await unlessMissing(work.stripe.getSchedule(purchase.scheduleId), null);
        if (schedule === null || schedule.subscriptionId === null)
          return { kind: "ignored", reason: "The schedule has no subscription." };
        return subscriptions.effect(schedule.subscriptionId);
      }
      case "creditNote": {
        const note = await unlessMissing(work.stripe.getCreditNote(purchase.creditNoteId), null);
        if (note === null)
          return { kind: "ignored", reason: "Stripe does not know this credit note." };
        return invoice(note.invoiceId);
      }
      case "moneyBack":
        return moneyBack.effect(purchase.paymentIntentId);
      case "charge": {
        const paymentIntentId = await unlessMissing(
          work.stripe.getChargePaymentIntent(purchase.chargeId),
          null,
        );
        if (paymentIntentId === null)
          return { kind: "ignored", reason: "The charge is not for a payment of this server." };
        return moneyBack.effect(paymentIntentId);
      }
    }
  }

  return {
    fulfil: (purchase, commitWith) => applySync(work, () => look(purchase), commitWith),
    keep: (subscription, version) => {
      let first = true;
      return applySync(work, () => {
        // The answer to our own order is the truth of this moment; after a lost race only a new look is.
        if (!first) return subscriptions.effect(subscription.id);
        first = false;
        return subscriptions.effectOfFetched(subscription, version);
      });
    },
    subscriptionVersion: subscriptions.versionOf,
  };
}
