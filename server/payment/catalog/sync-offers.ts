// Brings the products and prices at Stripe in line with the stored packages and plans.
import type { BillingInterval } from "../../../shared/src/payment.ts";
import type { PackageOffer, PlanOffer } from "../payment.types.ts";
import type { PaymentStore } from "../ports.ts";
import { unlessMissing } from "../stripe/errors.ts";
import type { StripePort, StripePrice } from "../stripe/port.ts";

interface Deps {
  readonly store: Pick<PaymentStore, "offers">;
  readonly stripe: StripePort;
}

/** An offer's price at Stripe, and what was done about it. */
interface SyncedPrice {
  readonly priceId: string;
  readonly done: string;
}

/**
 * Whether a plan is sold at this price today. A price that does not state its credits is matched by amount,
 * currency and interval alone.
 */
export function isPriceOf(price: StripePrice, plan: PlanOffer): boolean {
  return costs(price, plan, plan.interval) && (price.credits ?? plan.credits) === plan.credits;
}

function costs(
  price: StripePrice,
  { price: amount, currency }: PackageOffer,
  interval: BillingInterval | null,
): boolean {
  return price.unitAmount === amount && price.currency === currency && price.interval === interval;
}

/**
 * Adds to a plan's price the offer and credits it does not state itself (one made by the merchant or an older release),
 * so that it is still recognised when the plan has another price. Its credits are certain only while it costs what the
 * plan does. Returns whether it wrote anything.
 */
export async function labelPrice(
  stripe: StripePort,
  price: StripePrice,
  plan: PlanOffer,
): Promise<boolean> {
  const offerId = price.offerId ?? plan.id;
  const credits = price.credits ?? (costs(price, plan, plan.interval) ? plan.credits : null);
  if (offerId === price.offerId && credits === price.credits) return false;
  await stripe.labelPrice(price.id, { offerId, credits });
  return true;
}

/** Syncs every active offer. Returns a line per offer. */
export async function syncOffers(deps: Deps): Promise<string[]> {
  const { offers } = deps.store;
  const lines: string[] = [];
  for (const offer of await offers.packages()) {
    const { priceId, done } = await syncPrice(deps, { kind: "package", offer, interval: null });
    if (priceId !== offer.stripePriceId) await offers.setPackagePrice(offer.id, priceId);
    lines.push(`package ${offer.id}: ${done} (${priceId})`);
  }
  for (const plan of await offers.plans()) {
    const { priceId, done } = await syncPlan(deps, plan);
    lines.push(`plan ${plan.id}: ${done} (${priceId})`);
  }
  return lines;
}

/** Syncs one plan and stores its price id. */
export async function syncPlan(deps: Deps, plan: PlanOffer): Promise<SyncedPrice> {
  const { stripePriceId: former, interval } = plan;
  const synced = await syncPrice(deps, { kind: "plan", offer: plan, interval });
  if (synced.priceId === former) return synced;
  const price = former === null ? null : await unlessMissing(deps.stripe.getPrice(former), null);
  if (price !== null) await labelPrice(deps.stripe, price, plan);
  await deps.store.offers.setPlanPrice(plan.id, synced.priceId);
  return synced;
}

type SyncedOffer =
  | { readonly kind: "package"; readonly offer: PackageOffer; readonly interval: null }
  | { readonly kind: "plan"; readonly offer: PlanOffer; readonly interval: BillingInterval };

/** Finds or creates the price of an offer at Stripe. */
async function syncPrice({ stripe }: Deps, synced: SyncedOffer): Promise<SyncedPrice> {
  const { kind, offer, interval } = synced;
  const productId = `skywork_${kind}_${offer.id}`;
  // The same in every Stripe account.
  const lookupKey = `skywork_${offer.id}`;
  await stripe.ensureProduct({ id: productId, name: offer.name });
  const current = await stripe.findPrice(lookupKey);
  // Label it first: once its lookup key has moved to a new price, nothing would identify it.
  const isLabelled =
    kind === "plan" && current !== null && (await labelPrice(stripe, current, offer));
  const isCurrent =
    current !== null && (kind === "plan" ? isPriceOf(current, offer) : costs(current, offer, null));
  if (isCurrent) return { priceId: current.id, done: isLabelled ? "adopted" : "up to date" };
  // The lookup key does not find an archived price. It must still be part of the new price's idempotency key, or Stripe
  // could replay the response that created the archived one.
  const former = current ?? (await stripe.findLatestPrice(productId));
  // A plan price's credits are as immutable as its amount; a package's credits come from its checkout.
  const credits = kind === "plan" ? offer.credits : null;
  const price = await stripe.createPrice(
    {
      productId,
      offerId: offer.id,
      credits,
      lookupKey,
      unitAmount: offer.price,
      currency: offer.currency,
      interval,
    },
    // Includes the id of the price it replaces, so that returning to a former amount also creates a new price.
    `price:${offer.id}:${offer.currency}:${offer.price}:${credits ?? "any"}:${interval ?? "once"}:${former?.id ?? "first"}`,
  );
  // Existing subscribers keep the former price; it is no longer sold.
  if (current !== null) await stripe.archivePrice(current.id);
  return { priceId: price.id, done: current === null ? "created" : "price changed" };
}
