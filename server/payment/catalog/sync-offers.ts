// Brings the products and prices at Stripe up to date with the packages and plans as stored.
import type { PackageOffer, PlanOffer } from "../payment.types.ts";
import type { PaymentStore } from "../ports.ts";
import type { StripePort } from "../stripe/port.ts";

interface Deps {
  readonly store: Pick<PaymentStore, "offers">;
  readonly stripe: StripePort;
}

/** An offer's price at Stripe, and what was done about it. */
interface SyncedPrice {
  readonly priceId: string;
  readonly done: string;
}

/** Syncs every active offer. Returns a line per offer. */
export async function syncOffers(deps: Deps): Promise<string[]> {
  const { offers } = deps.store;
  const lines: string[] = [];
  for (const offer of await offers.packages()) {
    const { priceId, done } = await syncPrice(deps, "package", offer, null);
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
  const synced = await syncPrice(deps, "plan", plan, plan.interval);
  if (synced.priceId !== plan.stripePriceId)
    await deps.store.offers.setPlanPrice(plan.id, synced.priceId);
  return synced;
}

/** Finds or makes the price of an offer at Stripe. */
async function syncPrice(
  { stripe }: Deps,
  kind: "package" | "plan",
  offer: PackageOffer,
  interval: "month" | "year" | null,
): Promise<SyncedPrice> {
  const productId = `skywork_${kind}_${offer.id}`;
  // The same in every account.
  const lookupKey = `skywork_${offer.id}`;
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
