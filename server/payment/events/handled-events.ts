// The event types we handle, and what each one makes us read at Stripe.
import type { StoredNotice } from "../payment.types.ts";
import type { SyncTarget } from "../sync/sync.ts";

/** The types to select for the webhook and to list in reconcile. */
export const HANDLED_EVENTS = [
  "checkout.session.completed",
  "checkout.session.async_payment_succeeded",
  "checkout.session.async_payment_failed",
  "checkout.session.expired",
  "invoice.paid",
  "invoice.payment_failed",
  "customer.subscription.created",
  "customer.subscription.updated",
  "customer.subscription.deleted",
  "subscription_schedule.updated",
  "credit_note.created",
  "credit_note.updated",
  "credit_note.voided",
  "charge.refunded",
  "refund.created",
  "refund.updated",
  "refund.failed",
  "charge.dispute.created",
  "charge.dispute.updated",
  "charge.dispute.closed",
] as const;

const HANDLED: ReadonlySet<string> = new Set([
  ...HANDLED_EVENTS,
  // Each arrives together with one listed above. Reconcile does not list these: Stripe takes at most twenty types.
  "invoice.payment_succeeded",
  "invoice.voided",
  "invoice.marked_uncollectible",
  "charge.refund.updated",
  "subscription_schedule.created",
  "subscription_schedule.released",
  "subscription_schedule.canceled",
  "subscription_schedule.completed",
  "subscription_schedule.aborted",
  "customer.subscription.paused",
  "customer.subscription.resumed",
  "charge.dispute.funds_withdrawn",
  "charge.dispute.funds_reinstated",
]);

/** Whether events of this type are handled. */
export function isHandled(type: string): boolean {
  return HANDLED.has(type);
}

/** Returns what to read at Stripe for an event; null when it is not handled. */
export function toSyncTarget(notice: StoredNotice): SyncTarget | null {
  if (!isHandled(notice.type) || notice.objectId === null) return null;
  const { objectId, objectType } = notice;
  switch (objectType) {
    case "checkout.session":
      return { kind: "checkout", sessionId: objectId };
    case "invoice":
      return { kind: "invoice", invoiceId: objectId };
    case "subscription":
      return { kind: "subscription", subscriptionId: objectId };
    case "subscription_schedule":
      return { kind: "schedule", scheduleId: objectId };
    case "credit_note":
      return { kind: "creditNote", creditNoteId: objectId };
    case "charge":
    case "refund":
    case "dispute": {
      if (notice.paymentIntentId !== null)
        return { kind: "refund", paymentIntentId: notice.paymentIntentId };
      return notice.chargeId === null ? null : { kind: "charge", chargeId: notice.chargeId };
    }
    default:
      return null;
  }
}
