// Changes the plan as its preview said: at once for the price shown, at the period's end, or back to the current plan.
import { createHash } from "node:crypto";
import { AppError } from "../../lib/errors.ts";
import type { PaymentInput, PaymentOutput, Subscription } from "../payment.types.ts";
import { isRefusal, refusalOf } from "../stripe/errors.ts";
import { isLive } from "../sync/subscription-status.ts";
import { syncWithStripe } from "../sync/sync.ts";
import { isToEnd, releasePending, scheduleDowngrade } from "./downgrades.ts";
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

/** A previewed change that is taken. */
interface TakenChange extends PlanChange {
  /** Ours, before the change. */
  readonly live: Subscription;
  readonly preview: Preview;
  /** Makes the order one of a kind. */
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
  // Said twice: the first time did it.
  if (!isDone(change, preview)) {
    if (hasMoved(change, preview)) throw stale();
    // The row's version: the same offer taken again after it was undone is an order of its own.
    const orderKey = `${previewToken}\n${live.version}`;
    await orderChange(deps, { ...change, live, preview, orderKey }).catch(
      async (error: unknown) => {
        // Said twice at once: what the other one has done meanwhile is refused here, the new price to begin with.
        const current = await readPlanChange(deps, live, planId).catch(() => null);
        if (current === null || !isDone(current, preview)) throw error;
      },
    );
  }
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

function isDone(change: PlanChange, preview: Preview): boolean {
  const { from, to, subscription } = change;
  return from.plan.id === to.id && (hasMoved(change, preview) || subscription.scheduleId === null);
}

function stale(cause?: unknown): AppError {
  const message = "This offer is out of date. Please look at the new price.";
  return AppError.of("PREVIEW_STALE", message, undefined, cause);
}

async function orderChange(deps: PlanChangeDeps, change: TakenChange): Promise<void> {
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

/** Charges the difference now, exactly as shown, or changes nothing. */
async function upgrade(deps: PlanChangeDeps, change: TakenChange): Promise<void> {
  const { stripe } = deps;
  const { subscription, item, preview, orderKey } = change;
  const prorationDate = new Date(preview.prorationAt * 1000);
  const priceId = await checkQuote(deps, change, prorationDate);
  // The schedule would bring the cheaper plan all the same when the period ends.
  const hadSchedule = await releasePending(stripe, subscription);
  const order = { subscriptionId: subscription.id, itemId: item.id, priceId, prorationDate };
  const changed = await stripe
    .changePrice(order, keyOf(orderKey, priceId))
    .catch(async (error: unknown) => {
      const refusal = refusalOf(error)?.refusal;
      // Only what is refused for certain has not happened.
      if (refusal === undefined || refusal === "unavailable") throw error;
      if (hadSchedule) await restorePending(deps, change);
      if (refusal !== "declined") throw error;
      const message = "The payment was declined. Nothing has changed.";
      throw AppError.of("CONFLICT", message, undefined, error);
    });
  // Another press may have been declined meanwhile, and have put it back.
  await releasePending(stripe, changed);
}

/** Returns the price of the change, which still costs what was shown. Throws PREVIEW_STALE. */
async function checkQuote(
  deps: PlanChangeDeps,
  change: TakenChange,
  prorationDate: Date,
): Promise<string> {
  try {
    const { invoice, priceId } = await quotePlanChange(deps, change, prorationDate);
    const amountDue = isInTrial(change) ? 0 : invoice.amountDue;
    if (amountDue !== change.preview.amountDue) throw stale();
    return priceId;
  } catch (error) {
    // The period it was shown for is over.
    if (isRefusal(error, "invalid")) throw stale(error);
    throw error;
  }
}

/** Puts the change that was pending before a refused upgrade back, unless the subscription has moved on meanwhile. */
async function restorePending(
  { stripe, catalog, store }: PlanChangeDeps,
  { live, subscription: { id, scheduleId }, item }: TakenChange,
): Promise<void> {
  if (live.pendingPlanId === null) return;
  const current = await stripe.getSubscription(id);
  // Another press has put it back, chosen another plan, or made it end.
  if (current.scheduleId !== null || isToEnd(current) || !isLive(current.status)) return;
  // Chosen while it was offered, which it need not be any more.
  const plan = await store.offers.findPlan(live.pendingPlanId);
  if (plan === null) return;
  await catalog.withPlanPrice(plan, (priceId) => {
    // The schedule that was let go: two presses put back one, and the next refusal another.
    const key = keyOf(`restore ${scheduleId}`, priceId);
    return scheduleDowngrade(stripe, { subscriptionId: id, item, priceId, key });
  });
}

/** One key per order; another price, the first being archived, is another order. */
function keyOf(orderKey: string, priceId: string): string {
  return `change:${createHash("sha256").update(`${orderKey}\n${priceId}`).digest("hex")}`;
}
