// Shows what a change of plan costs and gives, signed: for ten minutes, exactly that is charged or nothing changes.
import { scheduleGrants } from "../catalog/invoice-credits.ts";
import { readPaidLines } from "../catalog/paid-lines.ts";
import type { PaymentOutput } from "../payment.types.ts";
import {
  isInTrial,
  kindOfChange,
  type PlanChangeDeps,
  quotePlanChange,
  readPlanChange,
} from "./plan-change.ts";
import { signPreview } from "./preview-token.ts";
import { getLiveSubscription } from "./subscription-state.ts";

/** Previews a change. Throws NOT_FOUND (plan or subscription), CONFLICT (not possible now), PAYMENT_PROVIDER_ERROR. */
export async function previewPlanChange(
  deps: PlanChangeDeps,
  userId: string,
  planId: string,
): Promise<PaymentOutput<"previewPlanChange">> {
  const { store, catalog, signingSecrets, now } = deps;
  const change = await readPlanChange(deps, await getLiveSubscription(store, userId), planId);
  const { from, to, subscription, item } = change;
  const kind = kindOfChange(change);
  const shownAt = Math.floor(now() / 1000);
  const facts = {
    user: userId,
    subscription: subscription.id,
    fromPrice: item.priceId,
    schedule: subscription.scheduleId,
    plan: to.id,
    shownAt,
  };
  // A trial continues with the dearer plan; the first payment comes when it ends.
  if (kind !== "now" || isInTrial(change)) {
    const cost = { amountDue: 0, currency: to.currency };
    const effectiveAt = kind === "atRenewal" ? item.currentPeriodEnd : new Date(now());
    return {
      ...cost,
      creditsNow: 0,
      effectiveAt: effectiveAt.toISOString(),
      previewToken: signPreview({ ...facts, ...cost, prorationAt: shownAt }, signingSecrets),
    };
  }
  const { invoice, prorationDate } = await quotePlanChange(deps, change);
  // A change of interval starts a new billing cycle: its months are counted from the change.
  const anchor = from.plan.interval === to.interval ? subscription.billingAnchor : prorationDate;
  const [first] = scheduleGrants(await readPaidLines(catalog, invoice), anchor);
  const cost = { amountDue: invoice.amountDue, currency: invoice.currency };
  const prorationAt = Math.floor(prorationDate.getTime() / 1000);
  return {
    ...cost,
    creditsNow: first?.credits ?? 0,
    effectiveAt: prorationDate.toISOString(),
    previewToken: signPreview({ ...facts, ...cost, prorationAt }, signingSecrets),
  };
}
