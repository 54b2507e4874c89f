// Changing a subscription's items: the proration, the resulting invoice, its preview, and a declined payment.
import {
  createInvoice,
  customerOf,
  finalizeInvoice,
  makeLines,
  tryInvoice,
  voidInvoice,
} from "../invoices/invoicing.ts";
import { addPending, pendingOf, takePending } from "../invoices/pending.ts";
import { boundary } from "../state/period.ts";
import { activePrice } from "../catalog/prices.ts";
import { newSubscriptionItem } from "../objects/new-billing.ts";
import type { LineDraft } from "../objects/new-invoice.ts";
import type { Recurring } from "../objects/types.ts";
import {
  afterAttempt,
  currentPeriod,
  periodLine,
  recurringOf,
  remainingTime,
  unusedTime,
} from "./subscribing.ts";
import { isTrialing, trialLine } from "./trials.ts";
import type { Subscription, SubscriptionItem } from "../objects/types-billing.ts";
import { apiError, badParam, type Fields, mergeMetadata } from "../api/wire.ts";
import type { World } from "../state/world.ts";

export type ProrationBehavior = "always_invoice" | "create_prorations" | "none";
export type PaymentBehavior =
  | "allow_incomplete"
  | "default_incomplete"
  | "error_if_incomplete"
  | "pending_if_incomplete";

const PENDING_UPDATE_SECONDS = 23 * 3600;

export interface ItemChange {
  items: SubscriptionItem[];
  drafts: LineDraft[];
  /** Set when the change resets the billing cycle. */
  newAnchor: number | null;
  /** The trial after the change, if the change affects one. An `end` that is not in the future means it is over. */
  trial: { start: number; end: number } | undefined;
  /** Whether the change is invoiced immediately. */
  invoiceNow: boolean;
  changed: boolean;
}

interface ItemUpdate {
  id: string | undefined;
  price: string | undefined;
  quantity: number | undefined;
  deleted: boolean;
  metadata: ReturnType<Fields["metadata"]>;
  /** Whether the price was chosen earlier (by a schedule), so that it is allowed even if archived since. */
  settled?: boolean;
}

/** Reads `items[…]` of an update or a preview. */
export function readItems(fields: Fields): ItemUpdate[] {
  return fields.maps("items").map((item) => {
    item.ignore("clear_usage", "tax_rates");
    return {
      id: item.text("id"),
      price: item.text("price"),
      quantity: item.int("quantity"),
      deleted: item.bool("deleted") ?? false,
      metadata: item.metadata(),
    };
  });
}

function wishedItems(
  world: World,
  subscription: Subscription,
  wishes: ItemUpdate[],
): SubscriptionItem[] {
  const items = structuredClone(subscription.items.data);
  const period = currentPeriod(subscription);
  const known = new Set(items.map((item) => item.price.id));
  for (const [index, wish] of wishes.entries()) {
    const at = items.findIndex((item) => item.id === wish.id);
    if (wish.id !== undefined && at < 0)
      throw badParam(`No such subscription_item: '${wish.id}'`, "items", "resource_missing");
    if (wish.deleted) {
      if (wish.id === undefined)
        throw badParam(
          "Pass the `id` of the item to delete.",
          `items[${index}][id]`,
          "parameter_missing",
        );
      items.splice(at, 1);
      continue;
    }
    const old = items[at];
    if (wish.settled === true && wish.price !== undefined) known.add(wish.price);
    const price =
      wish.price === undefined
        ? old?.price
        : activePrice(world, wish.price, `items[${index}][price]`, known);
    if (price === undefined || price.recurring === null)
      throw badParam(
        "The price must be recurring.",
        `items[${index}][price]`,
        "price_not_recurring",
      );
    if (price.currency !== subscription.currency) {
      throw apiError({
        status: 400,
        type: "invalid_request_error",
        message: `The price specified only supports \`${price.currency}\`. This doesn't match the expected currency: \`${subscription.currency}\`.`,
        param: `items[${index}][price]`,
      });
    }
    const item = newSubscriptionItem(old?.id ?? world.newId("si", 14), {
      subscription: subscription.id,
      price,
      quantity: wish.quantity ?? old?.quantity ?? 1,
      created: old?.created ?? world.billingNow(),
      start: period.start,
      end: period.end,
      metadata: mergeMetadata(old?.metadata ?? {}, wish.metadata),
    });
    // Without an id Stripe adds a second item, a costly mistake in production, so the stand-in does the same.
    if (old === undefined) items.push(item);
    else items[at] = item;
  }
  if (items.length === 0)
    throw badParam(
      "A subscription must have at least one active item.",
      "items",
      "parameter_invalid",
    );
  return items;
}

/** The time from which prorations are calculated. Throws 400 when it is outside the current period. */
function prorationMoment(
  world: World,
  period: { start: number; end: number },
  wished: number | undefined,
): number {
  const now = world.billingNow();
  let at = wished ?? now;
  // An app that cannot see the advanced billing clock sends wall time, so it is shifted to the billing clock.
  if (at < period.start) at = Math.min(at + world.hidden.billingOffsetSeconds, now);
  if (at < period.start || at > period.end) {
    throw badParam(
      "The `proration_date` must be within the current period.",
      "subscription_proration_date",
      "parameter_invalid",
    );
  }
  return at;
}

/** Works out what a change of items would do, without doing it. Throws 400 for an impossible change. */
export function planChange(
  world: World,
  subscription: Subscription,
  given: {
    wishes: ItemUpdate[];
    behavior: ProrationBehavior;
    prorationDate: number | undefined;
    resetAnchor: boolean;
    /** The new end of the free trial, in unix seconds; the current time ends it. */
    trialEnd?: number;
  },
): ItemChange {
  const now = world.billingNow();
  const period = currentPeriod(subscription);
  const at = prorationMoment(world, period, given.prorationDate);
  const items = wishedItems(world, subscription, given.wishes);
  const before = recurringOf(subscription);
  const after = items[0]?.price.recurring ?? before;
  if (items.some((item) => item.price.recurring?.interval !== after.interval)) {
    throw badParam(
      "All prices on a subscription must have the same `recurring.interval`.",
      "items",
      "parameter_invalid",
    );
  }
  const trialing = isTrialing(subscription);
  const trial = newTrial(subscription, given.trialEnd, now);
  // The first paid period begins when the trial ends, whatever is changed during the trial.
  const newCycle =
    trial !== undefined ||
    (!trialing &&
      (given.resetAnchor ||
        after.interval !== before.interval ||
        after.interval_count !== before.interval_count));
  const old = new Map(subscription.items.data.map((item) => [item.id, item]));
  const touched = items.filter((item) => {
    const was = old.get(item.id);
    return was === undefined || was.price.id !== item.price.id || was.quantity !== item.quantity;
  });
  const gone = subscription.items.data.filter((item) => !items.some((it) => it.id === item.id));
  const changed = touched.length > 0 || gone.length > 0 || given.resetAnchor || trial !== undefined;
  const drafts: LineDraft[] = [];
  if (changed && given.behavior !== "none") {
    const credited = newCycle
      ? subscription.items.data
      : [...touched.flatMap((item) => old.get(item.id) ?? []), ...gone];
    drafts.push(
      ...credited.flatMap((item) => unusedTime(world, subscription, item, at)),
      ...(newCycle || trialing ? [] : touched).flatMap((item) => remainingTime(world, item, at)),
    );
  }
  const cycle =
    newCycle && changed
      ? beginCycle(world, items, { trial, trialing, recurring: after })
      : undefined;
  drafts.push(...(cycle?.drafts ?? []));
  return {
    items,
    drafts,
    trial,
    newAnchor: cycle?.anchor ?? null,
    invoiceNow: changed && (newCycle || given.behavior === "always_invoice"),
    changed,
  };
}

/** Moves the items into the period that begins now, trial or paid. Returns its invoice lines and billing anchor. */
function beginCycle(
  world: World,
  items: readonly SubscriptionItem[],
  given: { trial: ItemChange["trial"]; trialing: boolean; recurring: Recurring },
): { drafts: LineDraft[]; anchor: number } {
  const now = world.billingNow();
  const { trial } = given;
  const isFree = trial !== undefined && trial.end > now;
  const start = isFree ? trial.start : now;
  const end = isFree ? trial.end : boundary(now, given.recurring, 1);
  for (const item of items) {
    item.current_period_start = start;
    item.current_period_end = end;
  }
  // Extending a running trial creates no further invoice of 0.
  if (isFree && given.trialing) return { drafts: [], anchor: end };
  const lineOf = isFree ? trialLine : periodLine;
  return {
    drafts: items.map((item) => lineOf(world, item, start, end)),
    anchor: isFree ? end : now,
  };
}

/** The trial that results from a new end; undefined when no new end is given, or there is no trial to end. */
function newTrial(
  subscription: Subscription,
  end: number | undefined,
  now: number,
): ItemChange["trial"] {
  const trialing = isTrialing(subscription);
  if (end === undefined || (!trialing && end <= now)) return undefined;
  return { start: trialing ? (subscription.trial_start ?? now) : now, end };
}

function refused(message: string): ReturnType<typeof apiError> {
  return apiError({
    status: 402,
    type: "card_error",
    code: "card_declined",
    declineCode: "generic_decline",
    message,
  });
}

/**
 * Carries out a planned change, with its invoice and payment. The caller emits the subscription's own events.
 * Throws 402, with nothing changed, when the card is declined and `behavior` is `error_if_incomplete`.
 */
export function applyChange(
  world: World,
  subscription: Subscription,
  plan: ItemChange,
  behavior: PaymentBehavior,
): void {
  const commit = (): void => {
    subscription.items.data = plan.items;
    if (plan.newAnchor !== null) subscription.billing_cycle_anchor = plan.newAnchor;
    if (plan.trial === undefined) return;
    subscription.trial_start = plan.trial.start;
    subscription.trial_end = plan.trial.end;
    subscription.status = plan.trial.end > world.billingNow() ? "trialing" : "active";
  };
  if (!plan.changed || !plan.invoiceNow || plan.drafts.length === 0) {
    commit();
    if (plan.drafts.length > 0) {
      addPending(
        world,
        customerOf(world, subscription),
        subscription,
        makeLines(world, "", plan.drafts),
      );
    }
    return;
  }
  const now = world.billingNow();
  const failing = world.hidden.failingCards.has(subscription.customer);
  const total =
    [...pendingOf(world, subscription), ...plan.drafts].reduce((sum, it) => sum + it.amount, 0) +
    customerOf(world, subscription).balance;
  if (failing && total > 0 && behavior === "error_if_incomplete")
    throw refused("Your card was declined.");
  const hold = failing && total > 0 && behavior === "pending_if_incomplete";
  const oldItems = subscription.items.data;
  if (!hold) commit();
  const period = currentPeriod(subscription);
  const invoice = createInvoice(world, {
    subscription,
    reason: "subscription_update",
    drafts: plan.drafts,
    waiting: takePending(world, subscription),
    periodStart: now,
    periodEnd: plan.newAnchor === null ? now : period.end,
    coupon: undefined,
  });
  invoice.auto_advance = !hold;
  finalizeInvoice(world, invoice);
  const paid = tryInvoice(world, invoice);
  if (hold && !paid) {
    subscription.items.data = oldItems;
    subscription.pending_update = {
      billing_cycle_anchor: plan.newAnchor,
      cancel_at_period_end: null,
      discount: null,
      discounts: null,
      expires_at: now + PENDING_UPDATE_SECONDS,
      metadata: null,
      subscription_items: plan.items,
      trial_end: null,
      trial_from_plan: null,
    };
    return;
  }
  afterAttempt(world, invoice, paid);
}

/** Drops an update that is still waiting for payment, because another one replaces it. */
export function dropPending(world: World, subscription: Subscription): void {
  if (subscription.pending_update === null) return;
  const invoice = world.tables.invoices.get(subscription.latest_invoice ?? "");
  if (invoice !== undefined) voidInvoice(world, invoice);
  subscription.pending_update = null;
}
