// The lifecycle of a subscription on the billing clock: start, renewal, past due, recovery, end.
import { money } from "../../html.ts";
import { couponOf, discountOf } from "../catalog/coupons.ts";
import { cardOf } from "../customers/customers.ts";
import {
  createInvoice,
  customerOf,
  finalizeInvoice,
  subscriptionOf,
  tryInvoice,
  unfinished,
  voidInvoice,
} from "../invoices/invoicing.ts";
import { boundary, periodAt } from "../state/period.ts";
import { takePending } from "../invoices/pending.ts";
import { closeSchedule, enterPhaseAtRenewal } from "./phases.ts";
import { newSubscription, newSubscriptionItem } from "../objects/new-billing.ts";
import type { LineDraft } from "../objects/new-invoice.ts";
import type { CheckoutLine, Coupon, Customer, Metadata, Recurring } from "../objects/types.ts";
import type {
  Invoice,
  Subscription,
  SubscriptionItem,
  TrialRequest,
} from "../objects/types-billing.ts";
import { endOfTrial, announceTrialEndIfDue, isTrialing, trialLine } from "./trials.ts";
import { change, type World } from "../state/world.ts";

/** The terminal statuses of a subscription. */
export const ENDED = new Set(["canceled", "incomplete_expired"]);

/** The interval all items of a subscription share. */
export function recurringOf(subscription: Subscription): Recurring {
  const recurring = subscription.items.data[0]?.price.recurring;
  if (!recurring) throw new Error(`${subscription.id} has no recurring item`);
  return recurring;
}

/** Start and end of the current period, unix seconds. */
export function currentPeriod(subscription: Subscription): { start: number; end: number } {
  const [item] = subscription.items.data;
  return { start: item?.current_period_start ?? 0, end: item?.current_period_end ?? 0 };
}

/** The ordinary charge of one item for one period. */
export function periodLine(
  world: World,
  item: SubscriptionItem,
  start: number,
  end: number,
): LineDraft {
  const name = world.tables.products.get(item.price.product)?.name ?? "Subscription";
  const every = item.price.recurring?.interval ?? "month";
  return {
    item,
    price: item.price,
    amount: item.price.unit_amount * item.quantity,
    quantity: item.quantity,
    description: `${item.quantity} × ${name} (at ${money(item.price.unit_amount, item.price.currency)} / ${every})`,
    start,
    end,
    proration: false,
  };
}

function day(seconds: number): string {
  return new Date(seconds * 1000).toLocaleDateString("en-GB", {
    day: "numeric",
    month: "short",
    year: "numeric",
    timeZone: "UTC",
  });
}

function prorated(
  world: World,
  item: SubscriptionItem,
  given: { at: number; sign: 1 | -1; words: string },
): LineDraft {
  const { current_period_start: start, current_period_end: end } = item;
  const name = world.tables.products.get(item.price.product)?.name ?? "Subscription";
  const times = item.quantity > 1 ? `${item.quantity} × ` : "";
  const share = (end - given.at) / (end - start);
  return {
    item,
    price: item.price,
    amount: given.sign * Math.round(item.price.unit_amount * item.quantity * share),
    quantity: item.quantity,
    description: `${given.words} ${times}${name} after ${day(given.at)}`,
    start: given.at,
    end,
    proration: true,
  };
}

/** The line that credits the rest of an item's period; none in a trial (nothing was paid) or for an amount of 0. */
export function unusedTime(
  world: World,
  subscription: Subscription,
  item: SubscriptionItem,
  at: number,
): LineDraft[] {
  if (isTrialing(subscription)) return [];
  const paidBy = world.tables.invoices.get(subscription.latest_invoice ?? "");
  const draft = prorated(world, item, { at, sign: -1, words: "Unused time on" });
  if (draft.amount === 0) return [];
  const lines = paidBy?.lines.data.map((line) => line.id) ?? [];
  return [{ ...draft, credits: paidBy && { invoice: paidBy.id, lines } }];
}

/** The line that charges an item for the rest of its period; none for an amount of 0. */
export function remainingTime(world: World, item: SubscriptionItem, at: number): LineDraft[] {
  const draft = prorated(world, item, { at, sign: 1, words: "Remaining time on" });
  return draft.amount === 0 ? [] : [draft];
}

/** Starts a subscription and pays for it, or starts its free trial. The caller has made sure that the card works. */
export function startSubscription(
  world: World,
  given: {
    customer: Customer;
    lines: CheckoutLine[];
    metadata: Metadata;
    coupon: Coupon | undefined;
    trial?: TrialRequest;
  },
): { subscription: Subscription; invoice: Invoice } {
  const now = world.billingNow();
  const id = world.newId("sub");
  const trialEnd = given.trial === undefined ? undefined : endOfTrial(given.trial, now);
  const items = given.lines
    .filter((line) => line.price.recurring !== null)
    .map((line) => {
      const recurring = line.price.recurring as Recurring;
      return newSubscriptionItem(world.newId("si", 14), {
        subscription: id,
        price: line.price,
        quantity: line.quantity,
        created: now,
        start: now,
        end: trialEnd ?? boundary(now, recurring, 1),
      });
    });
  const card = cardOf(world, given.customer);
  const subscription = newSubscription(id, now, {
    customer: given.customer.id,
    currency: given.lines[0]?.currency ?? "usd",
    items,
    metadata: given.metadata,
    paymentMethod: card.id,
    trialEnd,
  });
  world.tables.subscriptions.set(id, subscription);
  if (given.coupon !== undefined && given.coupon.duration !== "once") {
    subscription.discounts = [discountOf(given.coupon.id)];
  }
  const lineOf = trialEnd === undefined ? periodLine : trialLine;
  const drafts = items.map((item) =>
    lineOf(world, item, item.current_period_start, item.current_period_end),
  );
  const invoice = createInvoice(world, {
    subscription,
    reason: "subscription_create",
    drafts,
    periodStart: now,
    periodEnd: now,
    coupon: given.coupon,
  });
  world.emit("customer.subscription.created", subscription);
  finalizeInvoice(world, invoice);
  const paid = tryInvoice(world, invoice);
  if (trialEnd === undefined)
    change(world, subscription, "customer.subscription.updated", (it) => {
      it.status = paid ? "active" : "incomplete";
    });
  announceTrialEndIfDue(world, subscription);
  return { subscription, invoice };
}

/** Ends a subscription now. Its unpaid invoices are no longer retried. */
export function endSubscription(world: World, subscription: Subscription, reason: string): void {
  const now = world.billingNow();
  const before = structuredClone(subscription);
  subscription.status = "canceled";
  subscription.ended_at = now;
  subscription.canceled_at = subscription.canceled_at ?? now;
  subscription.cancel_at_period_end = before.cancel_at_period_end;
  subscription.pending_update = null;
  subscription.cancellation_details = {
    ...subscription.cancellation_details,
    reason:
      subscription.cancellation_details.reason ??
      (reason === "schedule_completed" ? "cancellation_requested" : reason),
  };
  closeSchedule(world, subscription, reason === "schedule_completed" ? "completed" : "canceled");
  world.emit("customer.subscription.deleted", subscription);
  for (const invoice of unfinished(world, subscription.id)) {
    if (invoice.status === "draft") voidInvoice(world, invoice);
    else {
      change(world, invoice, "invoice.updated", (it) => {
        it.auto_advance = false;
        it.next_payment_attempt = null;
      });
    }
  }
}

/** Updates the subscription's status after an attempt to collect an invoice. */
export function afterAttempt(world: World, invoice: Invoice, paid: boolean): void {
  const subscription = subscriptionOf(world, invoice);
  if (ENDED.has(subscription.status)) return;
  if (paid) {
    const settled =
      subscription.latest_invoice === invoice.id ||
      unfinished(world, subscription.id).every((it) => it.status !== "open");
    const customer = customerOf(world, invoice);
    if (settled && subscription.status !== "active" && !isTrialing(subscription)) {
      change(world, subscription, "customer.subscription.updated", (it) => {
        it.status = "active";
      });
    }
    if (customer.delinquent)
      change(world, customer, "customer.updated", (it) => {
        it.delinquent = false;
      });
    return;
  }
  if (subscription.pending_update !== null) return;
  if (
    invoice.next_payment_attempt === null &&
    invoice.attempt_count > world.dunning.retryAfterDays.length
  ) {
    if (world.dunning.end === "cancel") endSubscription(world, subscription, "payment_failed");
    else
      change(world, subscription, "customer.subscription.updated", (it) => {
        it.status = "unpaid";
      });
    return;
  }
  if (subscription.status === "active") {
    change(world, subscription, "customer.subscription.updated", (it) => {
      it.status = "past_due";
    });
    change(world, customerOf(world, invoice), "customer.updated", (it) => {
      it.delinquent = true;
    });
  }
}

/** Starts the next period and its invoice, at the prices of the schedule phase that begins now, if there is one. */
export function renew(world: World, subscription: Subscription): void {
  const from = currentPeriod(subscription);
  const before = structuredClone(subscription);
  // The trial ends with its period. If the first payment then fails, the subscription goes from active to past_due.
  if (isTrialing(subscription)) subscription.status = "active";
  enterPhaseAtRenewal(world, subscription, from.end);
  const next = periodAt(subscription.billing_cycle_anchor, recurringOf(subscription), from.end);
  for (const item of subscription.items.data) {
    item.current_period_start = next.start;
    item.current_period_end = next.end;
  }
  const waiting = takePending(world, subscription);
  const invoice = createInvoice(world, {
    subscription,
    reason: "subscription_cycle",
    drafts: subscription.items.data.map((item) => periodLine(world, item, next.start, next.end)),
    waiting,
    periodStart: from.start,
    periodEnd: from.end,
    coupon: couponOf(world, subscription.discounts),
  });
  if (subscription.status === "unpaid") {
    invoice.auto_advance = false;
    invoice.automatically_finalizes_at = null;
  }
  world.emit("customer.subscription.updated", subscription, before);
}

/** Applies an update that was waiting for its invoice to be paid, or drops it (and voids the invoice) on expiry. */
export function endPendingUpdate(world: World, subscription: Subscription, paid: boolean): void {
  const pending = subscription.pending_update;
  if (pending === null) return;
  const before = structuredClone(subscription);
  subscription.pending_update = null;
  if (paid) {
    subscription.items.data = pending.subscription_items;
    if (pending.billing_cycle_anchor !== null)
      subscription.billing_cycle_anchor = pending.billing_cycle_anchor;
    world.emit("customer.subscription.pending_update_applied", subscription, before);
    world.emit("customer.subscription.updated", subscription, before);
    return;
  }
  const invoice = world.tables.invoices.get(subscription.latest_invoice ?? "");
  if (invoice !== undefined) voidInvoice(world, invoice);
  world.emit("customer.subscription.pending_update_expired", subscription, before);
}

/**
 * Collects one invoice now (a retry, the API, the portal) and applies the consequences. Returns whether it is paid.
 */
export function collect(world: World, invoice: Invoice): boolean {
  finalizeInvoice(world, invoice);
  const paid = tryInvoice(world, invoice);
  const subscription = subscriptionOf(world, invoice);
  if (paid && subscription.pending_update !== null && subscription.latest_invoice === invoice.id) {
    endPendingUpdate(world, subscription, true);
  }
  afterAttempt(world, invoice, paid);
  return paid;
}
