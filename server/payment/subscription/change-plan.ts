// Changes the plan as previewed: immediately for the price shown, at the period's end, or back to the current plan.
import { createHash } from "node:crypto";
import { AppError } from "../../lib/errors.ts";
import type { PaymentInput, PaymentOutput, Subscription } from "../payment.types.ts";
import { isRefusal } from "../stripe/errors.ts";
import type { StripeSubscription } from "../stripe/port.ts";
import { syncWithStripe } from "../sync/sync.ts";
import { releasePending, scheduleDowngrade } from "./downgrades.ts";
import {
  isInTrial,
  kindOfChange,
  type PlanChange,
  type PlanChangeDeps,
  quotePlanChange,
  readPlanChange,
} from "./plan-change.ts";
import { type Preview, readPreview } from "./preview-token.ts";
import { getLiveSubscription, getSubscriptionState } from "./subscription-state.ts";

/** A previewed change that the user has accepted. */
interface AcceptedChange extends PlanChange {
  /** Our row, before the change. */
  readonly live: Subscription;
  readonly preview: Preview;
  /** Identifies the order; the idempotency keys are derived from it. */
  readonly orderKey: string;
}

/** Changes the plan. Throws PREVIEW_STALE, NOT_FOUND, CONFLICT (declined), PAYMENT_PROVIDER_ERROR. */
export async function changePlan(
  deps: PlanChangeDeps,
  userId: string,
  { planId, previewToken }: PaymentInput<"changePlan">,
): Promise<PaymentOutput<"changePlan">> {
  const preview = readPreview(previewToken, deps.signingSecrets, deps.now());
  if (preview === null || preview.user !== userId || preview.plan !== planId) throw stale();
  const live = await getLiveSubscription(deps.store, userId);
  if (live.stripeSubscriptionId !== preview.subscription) throw stale();
  const change = await readPlanChange(deps, live, planId);
  // A repeated request: the first one already paid the change, or undid the pending one.
  if (isPaid(change, preview)) await releasePending(deps.stripe, formerSchedule(change, preview));
  else if (hasMoved(change, preview)) throw stale();
  else if (!isUndone(change))
    // Includes the row's version: accepting the same preview again after it was undone is a separate order.
    await orderChange(deps, {
      ...change,
      live,
      preview,
      orderKey: `${previewToken}\n${live.version}`,
    });
  const changed = await deps.stripe.getSubscription(live.stripeSubscriptionId);
  await syncWithStripe(
    deps,
    changed.latestInvoiceId === null
      ? { kind: "subscription", subscriptionId: changed.id }
      : { kind: "invoice", invoiceId: changed.latestInvoiceId },
  );
  return { subscription: await getSubscriptionState(deps.store, userId) };
}

function hasMoved({ item }: PlanChange, preview: Preview): boolean {
  return item.priceId !== preview.fromPrice;
}

function isPaid(change: PlanChange, preview: Preview): boolean {
  return change.from.plan.id === change.to.id && hasMoved(change, preview);
}

function isUndone({ from, to, subscription }: PlanChange): boolean {
  return from.plan.id === to.id && subscription.scheduleId === null;
}

function stale(cause?: unknown): AppError {
  const message = "This offer is out of date. Please look at the new price.";
  return AppError.of("PREVIEW_STALE", message, undefined, cause);
}

async function orderChange(deps: PlanChangeDeps, change: AcceptedChange): Promise<void> {
  const { stripe, catalog } = deps;
  const { subscription, item, to, orderKey } = change;
  switch (kindOfChange(change)) {
    case "now":
      return upgrade(deps, change);
    case "atRenewal":
      return catalog.withPlanPrice(to, async (priceId) => {
        const key = keyOf(orderKey, priceId);
        const order = { subscriptionId: subscription.id, item, priceId, key };
        if (!(await scheduleDowngrade(stripe, order))) throw stale();
      });
    case "undo":
      await releasePending(stripe, subscription);
  }
}

/** Charges the difference now, exactly as shown, or changes nothing; a pending change then stays pending. */
async function upgrade(deps: PlanChangeDeps, change: AcceptedChange): Promise<void> {
  const { live, to, subscription, preview } = change;
  // The schedule released after payment must be the one previewed: a repeated click recognises it by that.
  if (subscription.scheduleId !== preview.schedule) throw stale();
  const paid = await payUpgrade(deps, change).catch(async (error: unknown) => {
    // Two simultaneous requests: once the other one has paid, this one is refused, if only for the new price.
    const current = await readPlanChange(deps, live, to.id).catch(() => null);
    if (current === null || !isPaid(current, preview)) throw error;
    return formerSchedule(current, preview);
  });
  // Otherwise it would still switch to the cheaper plan when the period ends.
  await releasePending(deps.stripe, paid);
}

/** The schedule that existed before a paid upgrade, if it still does. One chosen since then stays. */
function formerSchedule({ subscription }: PlanChange, { schedule }: Preview) {
  return { scheduleId: subscription.scheduleId === schedule ? schedule : null };
}

async function payUpgrade(
  deps: PlanChangeDeps,
  change: AcceptedChange,
): Promise<Pick<StripeSubscription, "scheduleId">> {
  const { subscription, item, preview, orderKey } = change;
  const prorationDate = new Date(preview.prorationAt * 1000);
  const priceId = await checkQuote(deps, change, prorationDate);
  const order = { subscriptionId: subscription.id, itemId: item.id, priceId, prorationDate };
  try {
    return await deps.stripe.changePrice(order, keyOf(orderKey, priceId));
  } catch (error) {
    if (!isRefusal(error, "declined")) throw error;
    const message = "The payment was declined. Nothing has changed.";
    throw AppError.of("CONFLICT", message, undefined, error);
  }
}

/** Returns the price id for the change, which still costs what was shown. Throws PREVIEW_STALE. */
async function checkQuote(
  deps: PlanChangeDeps,
  change: AcceptedChange,
  prorationDate: Date,
): Promise<string> {
  try {
    const { invoice, priceId } = await quotePlanChange(deps, change, prorationDate);
    const amountDue = isInTrial(change) ? 0 : invoice.amountDue;
    if (amountDue !== change.preview.amountDue) throw stale();
    return priceId;
  } catch (error) {
    // The period it was shown for has ended.
    if (isRefusal(error, "invalid")) throw stale(error);
    throw error;
  }
}

/** One key per order. Another price (because the first was archived) makes it another order. */
function keyOf(orderKey: string, priceId: string): string {
  return `change:${createHash("sha256").update(`${orderKey}\n${priceId}`).digest("hex")}`;
}
