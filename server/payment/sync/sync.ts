// The only way a purchase, renewal, refund or end takes effect here: read Stripe's object, write what it says.
import { unlessMissing } from "../stripe/errors.ts";
import type { StripeSubscription } from "../stripe/port.ts";
import {
  applySync,
  type CommitWith,
  ignored,
  type SyncDeps,
  type SyncEffect,
  type SyncResult,
  unknownToStripe,
} from "./apply-sync.ts";
import { checkoutEffect } from "./checkout.sync.ts";
import { invoiceEffect } from "./invoice.sync.ts";
import { refundEffect } from "./refund.sync.ts";
import { fetchedSubscriptionEffect, subscriptionEffect } from "./subscription.sync.ts";

/** What to read at Stripe. The current object is fetched, so ids are sufficient. */
export type SyncTarget =
  | { readonly kind: "checkout"; readonly sessionId: string }
  | { readonly kind: "invoice"; readonly invoiceId: string }
  | { readonly kind: "subscription"; readonly subscriptionId: string }
  | { readonly kind: "schedule"; readonly scheduleId: string }
  | { readonly kind: "creditNote"; readonly creditNoteId: string }
  | { readonly kind: "refund"; readonly paymentIntentId: string }
  | { readonly kind: "charge"; readonly chargeId: string };

/**
 * Reads the target at Stripe outside any transaction, then writes what it says in one: payment, checkout, subscription
 * and ledger entries, along with `commitWith` (e.g. the event's row). Used by the webhook, the return page, reconcile,
 * the jobs and administrators. Safe to repeat and to run in parallel: each paid purchase or invoice is granted once.
 * Throws PAYMENT_PROVIDER_ERROR, SERVICE_UNAVAILABLE.
 */
export function syncWithStripe(
  deps: SyncDeps,
  target: SyncTarget,
  commitWith?: CommitWith,
): Promise<SyncResult> {
  return applySync(deps, () => readEffect(deps, target), commitWith);
}

/** Writes a subscription that we have just changed at Stripe. `version` = our row's before the change. */
export function saveChangedSubscription(
  deps: SyncDeps,
  subscription: StripeSubscription,
  version: number | null,
): Promise<SyncResult> {
  let isFirst = true;
  return applySync(deps, () => {
    // The response to our own change is current the first time; after a lost race, Stripe must be read again.
    if (!isFirst) return subscriptionEffect(deps, subscription.id);
    isFirst = false;
    return fetchedSubscriptionEffect(deps, subscription, { version });
  });
}

async function readEffect(deps: SyncDeps, target: SyncTarget): Promise<SyncEffect> {
  const { stripe } = deps;
  switch (target.kind) {
    case "checkout":
      return checkoutEffect(deps, target.sessionId);
    case "invoice":
      return invoiceEffect(deps, target.invoiceId);
    case "subscription":
      return subscriptionEffect(deps, target.subscriptionId);
    case "schedule": {
      const schedule = await unlessMissing(stripe.getSchedule(target.scheduleId), null);
      if (schedule === null) return unknownToStripe("this schedule");
      return schedule.subscriptionId === null
        ? ignored("The schedule has no subscription.")
        : subscriptionEffect(deps, schedule.subscriptionId);
    }
    case "creditNote": {
      const note = await unlessMissing(stripe.getCreditNote(target.creditNoteId), null);
      return note === null
        ? unknownToStripe("this credit note")
        : invoiceEffect(deps, note.invoiceId);
    }
    case "refund":
      return refundEffect(deps, target.paymentIntentId);
    case "charge": {
      const paymentIntentId = await unlessMissing(
        stripe.getChargePaymentIntent(target.chargeId),
        undefined,
      );
      if (paymentIntentId === undefined) return unknownToStripe("this charge");
      return paymentIntentId === null
        ? ignored("The charge is not for a payment of this server.")
        : refundEffect(deps, paymentIntentId);
    }
  }
}
