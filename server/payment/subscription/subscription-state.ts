// The live subscription as its subscriber sees it.
import type { z } from "zod";
import type { subscriptionState } from "../../../shared/src/payment.ts";
import { AppError } from "../../lib/errors.ts";
import { decodeLines } from "../catalog/kept-credits.ts";
import type { PaidLine } from "../catalog/invoice-credits.ts";
import type { Payment, Subscription } from "../payment.types.ts";
import type { PaymentTables } from "../ports.ts";

type SubscriptionState = z.output<typeof subscriptionState>;
type Tables = Pick<PaymentTables, "subscriptions" | "offers" | "payments">;

/** Returns the live subscription; null when there is none. */
export async function findSubscriptionState(
  { subscriptions, offers, payments }: Tables,
  userId: string,
): Promise<SubscriptionState | null> {
  const live = await subscriptions.findLive(userId);
  if (live === null) return null;
  const plan = await offers.findPlan(live.planId);
  if (plan === null) return null;
  // The price and credits at the time of payment, which the plan may no longer have.
  const current = findCurrentLine(await payments.paidOf(live), live);
  const paid = current?.line;
  const next = live.pendingPlanId === null ? null : await offers.findPlan(live.pendingPlanId);
  return {
    id: live.id,
    planId: live.planId,
    tier: plan.tier,
    interval: plan.interval,
    status: live.status,
    // Everything that is paid and granted, in case a merchant sold several.
    credits: (paid?.monthlyCredits ?? plan.credits) * live.quantity,
    price: (paid?.unitAmount ?? plan.price) * live.quantity,
    currency: current?.currency ?? plan.currency,
    currentPeriodStart: live.currentPeriodStart.toISOString(),
    currentPeriodEnd: live.currentPeriodEnd.toISOString(),
    cancelAtPeriodEnd: live.cancelAtPeriodEnd,
    cancelAt: live.cancelAt?.toISOString() ?? null,
    pendingPlan:
      next === null || live.pendingPlanAt === null
        ? null
        : { planId: next.id, name: next.name, effectiveAt: live.pendingPlanAt.toISOString() },
  };
}

/** The line that paid for the current period, and its currency; the newest one if the plan changed meanwhile. */
function findCurrentLine(
  paid: readonly Pick<Payment, "invoiceLines" | "currency">[],
  { currentPeriodEnd }: Subscription,
): { readonly line: PaidLine; readonly currency: string } | undefined {
  for (const { invoiceLines, currency } of paid.toReversed()) {
    const line = decodeLines(invoiceLines)?.lines.findLast(
      ({ amount, periodEnd }) => amount > 0 && periodEnd.getTime() === currentPeriodEnd.getTime(),
    );
    if (line !== undefined) return { line, currency };
  }
  return undefined;
}

/** The same, but throws NOT_FOUND when there is none. */
export async function getSubscriptionState(
  tables: Tables,
  userId: string,
): Promise<SubscriptionState> {
  const state = await findSubscriptionState(tables, userId);
  if (state === null) throw noSubscription();
  return state;
}

/** Returns the live subscription as stored. Throws NOT_FOUND. */
export async function getLiveSubscription(
  { subscriptions }: Pick<PaymentTables, "subscriptions">,
  userId: string,
): Promise<Subscription> {
  const live = await subscriptions.findLive(userId);
  if (live === null) throw noSubscription();
  return live;
}

function noSubscription(): AppError {
  return AppError.of("NOT_FOUND", "You have no subscription.");
}
