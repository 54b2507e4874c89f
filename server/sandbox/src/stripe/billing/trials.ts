// Free trials: their parameters, their invoice lines (of 0), and the notice before they end.
import type { LineDraft } from "../objects/new-invoice.ts";
import type { Subscription, SubscriptionItem, TrialRequest } from "../objects/types-billing.ts";
import { apiError, badParam, type Fields } from "../api/wire.ts";
import type { World } from "../state/world.ts";

const DAY_SECONDS = 86_400;
const MAX_TRIAL_DAYS = 730;
/** Checkout rejects a trial end nearer than this, because the session itself may stay open for a day. */
const CHECKOUT_LEAD_SECONDS = 2 * DAY_SECONDS;
/** `trial_will_end` is sent this long before the end, or immediately for a shorter trial. */
const NOTICE_SECONDS = 3 * DAY_SECONDS;

/** Whether a subscription is in its free trial. */
export const isTrialing = (subscription: Subscription): boolean =>
  subscription.status === "trialing";

function checkEnd(end: number, now: number, param: string): void {
  if (end > now + MAX_TRIAL_DAYS * DAY_SECONDS) {
    throw badParam(
      `The \`trial_end\` must be at most ${MAX_TRIAL_DAYS} days in the future.`,
      param,
      "parameter_invalid_integer",
    );
  }
}

/** Reads the trial from a checkout's `subscription_data`. Undefined means no trial. */
export function readTrialWish(fields: Fields, now: number): TrialRequest | undefined {
  const days = fields.int("trial_period_days");
  const end = fields.int("trial_end");
  fields.ignore("trial_settings");
  if (days !== undefined && end !== undefined) {
    throw badParam(
      "You may only specify one of these parameters: trial_end, trial_period_days.",
      fields.param("trial_end"),
      "parameters_exclusive",
    );
  }
  if (days !== undefined) {
    if (days < 1 || days > MAX_TRIAL_DAYS) {
      throw badParam(
        `The \`trial_period_days\` must be between 1 and ${MAX_TRIAL_DAYS}.`,
        fields.param("trial_period_days"),
        "parameter_invalid_integer",
      );
    }
    return { days };
  }
  if (end === undefined) return undefined;
  if (end < now + CHECKOUT_LEAD_SECONDS) {
    throw badParam(
      "The `trial_end` date has to be at least 2 days in the future.",
      fields.param("trial_end"),
      "parameter_invalid_integer",
    );
  }
  checkEnd(end, now, fields.param("trial_end"));
  return { end };
}

/** When a trial that starts now ends, in unix seconds on the billing clock. */
export function endOfTrial(wish: TrialRequest, now: number): number {
  return "days" in wish ? now + wish.days * DAY_SECONDS : wish.end;
}

/** Reads `trial_end` of an update: a future time, `now`, or undefined to leave it unchanged. */
export function readNewTrialEnd(fields: Fields, now: number): number | undefined {
  if (!fields.has("trial_end")) return undefined;
  if (fields.text("trial_end") === "now") return now;
  const end = fields.int("trial_end");
  if (end === undefined) return undefined;
  if (end <= now) {
    throw apiError({
      status: 400,
      type: "invalid_request_error",
      message: "The `trial_end` must be in the future, or `now`.",
      param: "trial_end",
    });
  }
  checkEnd(end, now, "trial_end");
  return end;
}

/** When a phase's trial ends: at the given time, with the whole phase, or null for no trial. */
export function readPhaseTrial(fields: Fields, end: number): number | null {
  const isWhole = fields.bool("trial");
  const trialEnd = fields.int("trial_end");
  if (isWhole !== undefined && trialEnd !== undefined) {
    throw badParam(
      "You may only specify one of these parameters: trial, trial_end.",
      fields.param("trial"),
      "parameter_invalid",
    );
  }
  if (trialEnd !== undefined && trialEnd > end) {
    throw badParam(
      "The `trial_end` of a phase must not be after its `end_date`.",
      fields.param("trial_end"),
      "parameter_invalid",
    );
  }
  return isWhole === true ? end : (trialEnd ?? null);
}

/** The invoice line of an item in its trial, with an amount of 0. */
export function trialLine(
  world: World,
  item: SubscriptionItem,
  start: number,
  end: number,
): LineDraft {
  const name = world.tables.products.get(item.price.product)?.name ?? "Subscription";
  return {
    item,
    price: item.price,
    amount: 0,
    quantity: item.quantity,
    description: `Trial period for ${name}`,
    start,
    end,
    proration: false,
  };
}

const noticeKey = (subscription: Subscription): string =>
  `${subscription.id}:${subscription.trial_end}`;

/** When the notice of a trial's end is due; null when there is no trial or the notice was already sent. */
export function noticeDue(world: World, subscription: Subscription): number | null {
  const { trial_end: end } = subscription;
  if (end === null || !isTrialing(subscription)) return null;
  return world.hidden.trialsAnnounced.has(noticeKey(subscription)) ? null : end - NOTICE_SECONDS;
}

/** Emits `trial_will_end` and records it, so that each trial end is announced once. */
export function announceTrialEnd(world: World, subscription: Subscription): void {
  world.hidden.trialsAnnounced.add(noticeKey(subscription));
  world.emit("customer.subscription.trial_will_end", subscription);
}

/** Sends the notice immediately if it is already due. */
export function announceTrialEndIfDue(world: World, subscription: Subscription): void {
  const at = noticeDue(world, subscription);
  if (at !== null && at <= world.billingNow()) announceTrialEnd(world, subscription);
}
