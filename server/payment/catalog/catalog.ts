// Owns what is for sale: packages and plans as stored, their prices at Stripe, and which plan a price stands for.
import type { PrismaModels } from "../../database/ports.ts";
import { AppError } from "../../lib/errors.ts";
import { isRefusal, unlessMissing } from "../stripe/errors.ts";
import { suggestedPackage } from "./suggestion.ts";
import type { StripePort, StripePrice } from "../stripe/port.ts";

/** A package as sold. */
export interface PackageOffer {
  readonly id: string;
  readonly name: string;
  readonly credits: number;
  readonly price: number;
  readonly currency: string;
  readonly stripePriceId: string | null;
}

/** A plan as sold; `credits` per month. */
export interface PlanOffer extends PackageOffer {
  readonly tier: string;
  readonly interval: "month" | "year";
}

/** A plan and the price somebody pays for it. */
export interface PricedPlan {
  readonly plan: PlanOffer;
  readonly price: StripePrice;
}

/** The catalogue and its prices. */
export interface Catalogue {
  packages(): Promise<PackageOffer[]>;
  plans(): Promise<PlanOffer[]>;
  /** An active package. Throws NOT_FOUND. */
  package(packageId: string): Promise<PackageOffer>;
  /** An active plan. Throws NOT_FOUND. */
  plan(planId: string): Promise<PlanOffer>;
  /** Id of the smallest active package of at least `shortfallCredits`, else of the largest; null when there is none. */
  suggestPackage(shortfallCredits: number): Promise<string | null>;
  /** The plan's price id at Stripe, made there if need be. */
  planPrice(plan: PlanOffer): Promise<string>;
  /** Forgets a price id that Stripe does not know (another account, a sandbox started anew). */
  forgetPrice(priceId: string): Promise<void>;
  /**
   * Whether Stripe refused an order because of its price: one it does not know, or an archived one, which it tells in
   * words only. Such a price is forgotten; the next order is made with a fresh one.
   */
  isPriceAtFault(error: unknown, priceId: string): Promise<boolean>;
  /** Orders something with the plan's price, and once more with a fresh one when Stripe does not sell by that price. */
  withPlanPrice<T>(plan: PlanOffer, order: (priceId: string) => Promise<T>): Promise<T>;
  /** The plan a price stands for, also a former price; null when it is not ours. */
  planOfPrice(priceId: string): Promise<PricedPlan | null>;
  /** Creates or updates products and prices at Stripe. Answers a line per offer. */
  sync(): Promise<string[]>;
}

type PlanRow = Awaited<ReturnType<PrismaModels["plan"]["findMany"]>>[number];

function planOf(row: PlanRow): PlanOffer {
  return { ...row, interval: row.interval === "year" ? "year" : "month" };
}

/** The lookup key of an offer's price: the same in every account. */
export function lookupKeyOf(offerId: string): string {
  return `skywork_${offerId}`;
}

const SUGGESTION_TTL_MS = 10_000;
const MAX_KNOWN_PRICES = 1_000;

/** Makes the catalogue. */
export function createCatalogue(deps: {
  models: PrismaModels;
  stripe: StripePort;
  now: () => number;
}): Catalogue {
  const { models, stripe } = deps;
  // A price never changes under its id, so it may be remembered.
  const knownPrices = new Map<string, StripePrice>();
  let suggestions: { packages: PackageOffer[]; until: number } | null = null;

  const packages = (): Promise<PackageOffer[]> =>
    models.creditPackage.findMany({
      where: { isActive: true },
      orderBy: [{ sortOrder: "asc" }, { credits: "asc" }, { id: "asc" }],
    });
  const plans = async (): Promise<PlanOffer[]> => {
    const rows = await models.plan.findMany({
      where: { isActive: true },
      orderBy: [{ sortOrder: "asc" }, { price: "asc" }, { id: "asc" }],
    });
    return rows.map(planOf);
  };

  async function priceOf(priceId: string): Promise<StripePrice> {
    const known = knownPrices.get(priceId);
    if (known !== undefined) return known;
    const price = await stripe.getPrice(priceId);
    if (knownPrices.size >= MAX_KNOWN_PRICES) knownPrices.clear();
    knownPrices.set(priceId, price);
    return price;
  }

  /** Finds or makes the price at Stripe and tells what was done. */
  async function syncOffer(
    kind: "package" | "plan",
    offer: PackageOffer,
    interval: "month" | "year" | null,
  ): Promise<{ priceId: string; done: string }> {
    const productId = `skywork_${kind}_${offer.id}`;
    const lookupKey = lookupKeyOf(offer.id);
    await stripe.ensureProduct({ id: productId, name: offer.name });
    const [current] = await stripe.findPrices([lookupKey]);
    if (
      current !== undefined &&
      current.unitAmount === offer.price &&
      current.currency === offer.currency &&
      current.interval === interval
    )
      return { priceId: current.id, done: "up to date" };
    // An archived price is not found by its key, and must not be what the new one's order is answered with.
    const former = current ?? (await stripe.findLatestPrice(productId));
    const price = await stripe.createPrice(
      {
        productId,
        offerId: offer.id,
        lookupKey,
        unitAmount: offer.price,
        currency: offer.currency,
        interval,
      },
      // Named after the price it follows, so that going back to a former price is a new one too.
      `price:${offer.id}:${offer.currency}:${offer.price}:${interval ?? "once"}:${former?.id ?? "first"}`,
    );
    // Those who subscribed at the former price keep it; nobody new gets it.
    if (current !== undefined) await stripe.archivePrice(current.id);
    return { priceId: price.id, done: current === undefined ? "created" : "price changed" };
  }

  async function syncPlan(plan: PlanOffer) {
    const synced = await syncOffer("plan", plan, plan.interval);
    if (synced.priceId !== plan.stripePriceId)
      await models.plan.update({
        where: { id: plan.id },
        data: { stripePriceId: synced.priceId },
      });
    return synced;
  }

  async function planPrice(plan: PlanOffer): Promise<string> {
    // As stored now: the id at hand may be one that was just forgotten.
    const row = await models.plan.findUnique({ where: { id: plan.id } });
    return row?.stripePriceId ?? (await syncPlan({ ...plan, stripePriceId: null })).priceId;
  }

  async function forgetPrice(priceId: string): Promise<void> {
    knownPrices.delete(priceId);
    const where = { stripePriceId: priceId };
    await models.plan.updateMany({ where, data: { stripePriceId: null } });
    await models.creditPackage.updateMany({ where, data: { stripePriceId: null } });
  }

  async function isPriceAtFault(error: unknown, priceId: string): Promise<boolean> {
    if (!isRefusal(error, "missing") && !isRefusal(error, "invalid")) return false;
    // Not from memory: whether it is active changes under its id.
    const price = await unlessMissing(stripe.getPrice(priceId), null);
    if (price?.active === true && price.productActive) return false;
    await forgetPrice(priceId);
    return true;
  }

  return {
    packages,
    plans,
    package: async (packageId) => {
      const row = await models.creditPackage.findUnique({ where: { id: packageId } });
      if (row === null || !row.isActive)
        throw AppError.of("NOT_FOUND", "There is no such package.");
      return row;
    },
    plan: async (planId) => {
      const row = await models.plan.findUnique({ where: { id: planId } });
      if (row === null || !row.isActive) throw AppError.of("NOT_FOUND", "There is no such plan.");
      return planOf(row);
    },
    suggestPackage: async (shortfallCredits) => {
      if (suggestions === null || suggestions.until <= deps.now()) {
        suggestions = { packages: await packages(), until: deps.now() + SUGGESTION_TTL_MS };
      }
      return suggestedPackage(suggestions.packages, shortfallCredits)?.id ?? null;
    },
    planPrice,
    forgetPrice,
    isPriceAtFault,
    withPlanPrice: async (plan, order) => {
      const priceId = await planPrice(plan);
      try {
        return await order(priceId);
      } catch (error) {
        if (!(await isPriceAtFault(error, priceId))) throw error;
        return order(await planPrice(plan));
      }
    },
    planOfPrice: async (priceId) => {
      const price = await unlessMissing(priceOf(priceId), null);
      if (price === null) return null;
      const row =
        (await models.plan.findFirst({ where: { stripePriceId: priceId } })) ??
        (price.offerId === null
          ? null
          : await models.plan.findUnique({ where: { id: price.offerId } }));
      return row === null ? null : { plan: planOf(row), price };
    },
    sync: async () => {
      const lines: string[] = [];
      for (const offer of await packages()) {
        const { priceId, done } = await syncOffer("package", offer, null);
        if (priceId !== offer.stripePriceId)
          await models.creditPackage.update({
            where: { id: offer.id },
            data: { stripePriceId: priceId },
          });
        lines.push(`package ${offer.id}: ${done} (${priceId})`);
      }
      for (const plan of await plans()) {
        const { priceId, done } = await syncPlan(plan);
        lines.push(`plan ${plan.id}: ${done} (${priceId})`);
      }
      return lines;
    },
  };
}
