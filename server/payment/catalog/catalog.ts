// What is for sale: the stored packages and plans, their prices at Stripe, and the plan each price belongs to.
import { LRUCache } from "lru-cache";
import { notFound } from "../../lib/errors.ts";
import { memoize } from "../../lib/memoize.ts";
import type { PackageOffer, PlanOffer, PricedPlan } from "../payment.types.ts";
import type { PaymentStore } from "../ports.ts";
import { isRefusal, unlessMissing } from "../stripe/errors.ts";
import type { StripePort, StripePrice } from "../stripe/port.ts";
import { isPriceOf, labelPrice, syncOffers, syncPlan } from "./sync-offers.ts";
import { suggestedPackage } from "./suggestion.ts";

/** The catalog and its prices. */
export type Catalog = ReturnType<typeof createCatalog>;

const SUGGESTION_TTL_MS = 10_000;
const MAX_KNOWN_PRICES = 1_000;

interface CatalogState {
  readonly store: Pick<PaymentStore, "offers">;
  readonly stripe: StripePort;
  /** A price's amount and credits never change under one id, so it is cached once it states its offer and credits. */
  readonly knownPrices: LRUCache<string, StripePrice>;
}

/** Returns the catalog. It caches prices and, briefly, the packages that suggestions are picked from. */
export function createCatalog({ store, stripe }: Pick<CatalogState, "store" | "stripe">) {
  const knownPrices = new LRUCache<string, StripePrice>({ max: MAX_KNOWN_PRICES });
  const state: CatalogState = { store, stripe, knownPrices };
  const offered = memoize(SUGGESTION_TTL_MS, () => store.offers.packages());
  return {
    packages: () => store.offers.packages(),
    plans: () => store.offers.plans(),
    /** Returns an active package. Throws NOT_FOUND. */
    package: (packageId: string) => getPackage(state, packageId),
    /** Returns an active plan. Throws NOT_FOUND. */
    plan: (planId: string) => getPlan(state, planId),
    /** Returns the id of the smallest active package covering `shortfallCredits`, else of the largest; null if none. */
    suggestPackage: async (shortfallCredits: number) =>
      suggestedPackage(await offered(), shortfallCredits)?.id ?? null,
    /** Returns the plan's price id at Stripe, creating a price if needed, e.g. for a plan changed since the sync. */
    planPrice: (plan: PlanOffer) => getPlanPrice(state, plan),
    /** Forgets a price id that Stripe does not know (another account, a restarted sandbox). */
    forgetPrice: (priceId: string) => forgetPrice(state, priceId),
    /**
     * Whether Stripe refused an order because of its price: one it does not know, or an archived one, which Stripe
     * reports only in prose. Such a price is forgotten, so the next order gets a fresh one.
     */
    isPriceAtFault: (error: unknown, priceId: string) => isPriceAtFault(state, error, priceId),
    /** Runs `order` with the plan's price, and again with a fresh price if Stripe no longer sells at the first one. */
    withPlanPrice: <T>(plan: PlanOffer, order: (priceId: string) => Promise<T>) =>
      withPlanPrice(state, plan, order),
    /** Returns the plan of a current or former price; null when it is not ours. `currency`: that of the payment. */
    findPricedPlan: (priceId: string, currency?: string) =>
      findPricedPlan(state, priceId, currency),
    /** Creates or updates products and prices at Stripe. Returns a line per offer. */
    sync: () => syncOffers(state),
  };
}

async function getPackage({ store }: CatalogState, packageId: string): Promise<PackageOffer> {
  const offer = await store.offers.findPackage(packageId);
  if (offer === null || !offer.isActive) throw notFound("package");
  return offer;
}

async function getPlan({ store }: CatalogState, planId: string): Promise<PlanOffer> {
  const plan = await store.offers.findPlan(planId);
  if (plan === null || !plan.isActive) throw notFound("plan");
  return plan;
}

async function getPlanPrice(state: CatalogState, plan: PlanOffer): Promise<string> {
  // Read the plan again: the caller's price id may have just been forgotten.
  const stored = (await state.store.offers.findPlan(plan.id)) ?? plan;
  const { stripePriceId: priceId } = stored;
  const price = priceId === null ? null : await unlessMissing(getPrice(state, priceId), null);
  // Never sell at an outdated price, or with credits the catalog no longer offers.
  if (price === null || !isPriceOf(price, stored)) return (await syncPlan(state, stored)).priceId;
  await labelPrice(state.stripe, price, stored).catch((error: unknown) => {
    // A key without permission to write prices can still sell.
    if (!isRefusal(error, "forbidden")) throw error;
  });
  return price.id;
}

async function forgetPrice({ store, knownPrices }: CatalogState, priceId: string): Promise<void> {
  knownPrices.delete(priceId);
  await store.offers.forgetPrice(priceId);
}

async function isPriceAtFault(
  state: CatalogState,
  error: unknown,
  priceId: string,
): Promise<boolean> {
  if (!isRefusal(error, "missing") && !isRefusal(error, "invalid")) return false;
  // Bypass the cache: a price may be archived under the same id.
  const price = await unlessMissing(state.stripe.getPrice(priceId), null);
  if (price?.active === true && price.productActive) return false;
  await forgetPrice(state, priceId);
  return true;
}

async function withPlanPrice<T>(
  state: CatalogState,
  plan: PlanOffer,
  order: (priceId: string) => Promise<T>,
): Promise<T> {
  const priceId = await getPlanPrice(state, plan);
  try {
    return await order(priceId);
  } catch (error) {
    if (!(await isPriceAtFault(state, error, priceId))) throw error;
    return order(await getPlanPrice(state, plan));
  }
}

async function findPricedPlan(
  state: CatalogState,
  priceId: string,
  currency?: string,
): Promise<PricedPlan | null> {
  const { offers } = state.store;
  const price = await unlessMissing(getPrice(state, priceId, currency), null);
  if (price === null) return null;
  const plan =
    (await offers.findPlanByPrice(priceId)) ??
    (price.offerId === null ? null : await offers.findPlan(price.offerId));
  return (
    plan && {
      plan: {
        ...plan,
        credits: price.credits ?? plan.credits,
        price: price.unitAmount ?? plan.price,
      },
      price,
    }
  );
}

async function getPrice(
  { stripe, knownPrices }: CatalogState,
  priceId: string,
  currency?: string,
): Promise<StripePrice> {
  const known = knownPrices.get(priceId);
  // Other currencies may be added to a price at any time. Its own has no amount if a unit has no single whole one.
  const isKnown =
    currency === undefined || currency === known?.currency || known?.amounts.has(currency);
  if (known !== undefined && isKnown) return known;
  const price = await stripe.getPrice(priceId);
  // Not cached yet: it may be labelled at any time, e.g. by `stripe:sync`.
  if (price.offerId === null || price.credits === null) return price;
  knownPrices.set(priceId, price);
  return price;
}
