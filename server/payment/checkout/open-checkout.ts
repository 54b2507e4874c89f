// Opens a Stripe Checkout: our row first, one live checkout per user and offer, the same one for a second click.
import { AppError, notFound } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import { HOUR_MS } from "../../lib/time.ts";
import type { Checkout, PackageOffer, PlanOffer } from "../payment.types.ts";
import { isRefusal, refusalOf, unlessMissing } from "../stripe/errors.ts";
import type { CheckoutPrice, StripeCheckout } from "../stripe/port.ts";
import type { SyncDeps } from "../sync/apply-sync.ts";
import { matchesOffer, pendingPayment } from "../sync/checkout.sync.ts";
import { syncWithStripe } from "../sync/sync.ts";
import type { Customers } from "./customers.ts";

/** Dependencies of checkouts. */
export interface CheckoutDeps extends SyncDeps {
  readonly customers: Customers;
  /** Where Checkout sends people back to. */
  readonly frontendUrl: string;
}

/** What somebody wants to buy. */
export type Order =
  | { readonly kind: "PACKAGE"; readonly offer: PackageOffer }
  | { readonly kind: "PLAN"; readonly offer: PlanOffer };

/** An open checkout: where to send the person. */
export interface OpenCheckout {
  readonly sessionId: string;
  readonly checkoutUrl: string;
}

/** Stripe allows 30 minutes to 24 hours. */
const LIFETIME_MS = 23 * HOUR_MS;
/** A checkout with less time left than this is replaced: nobody pays in a hurry. Stripe's minimum for a new one. */
const MIN_LEFT_MS = 31 * 60_000;
const MAX_ROUNDS = 6;

/**
 * Opens a checkout. Throws PAYMENT_PROVIDER_ERROR, NOT_FOUND (deleted user), CONFLICT (a plan, for who has just
 * subscribed), SERVICE_UNAVAILABLE.
 */
export async function openCheckout(
  deps: CheckoutDeps,
  userId: string,
  order: Order,
): Promise<OpenCheckout> {
  for (let rounds = 0; rounds < MAX_ROUNDS; rounds += 1) {
    const open = await tryToOpen(deps, userId, order);
    if (open !== null) return open;
  }
  throw AppError.of("SERVICE_UNAVAILABLE", "The checkout could not be opened. Try again.", {
    retryAfterSeconds: 2,
  });
}

/** Ends what the user has open at Stripe and here. */
export async function closeCheckouts(deps: CheckoutDeps, userId: string): Promise<void> {
  for (const checkout of await deps.store.checkouts.open(userId))
    await retireCheckout(deps, checkout);
}

/** The open checkout, or null when the one at hand had to go first. */
async function tryToOpen(
  deps: CheckoutDeps,
  userId: string,
  order: Order,
): Promise<OpenCheckout | null> {
  const checkout = await findOrCreate(deps, userId, order);
  if (!isStillOffered(checkout, order, deps.now())) {
    await retireCheckout(deps, checkout);
    return null;
  }
  if (checkout.stripeSessionId === null) return startSession(deps, checkout, order);
  const session = await unlessMissing(deps.stripe.getCheckout(checkout.stripeSessionId), null);
  if (session === null) {
    await expireCheckout(deps, checkout);
    return null;
  }
  if (session.status === "open" && session.url !== null)
    return { sessionId: session.id, checkoutUrl: session.url };
  await syncWithStripe(deps, { kind: "checkout", sessionId: session.id });
  if (order.kind === "PLAN" && session.status === "complete") throw justSubscribed();
  return null;
}

function justSubscribed(): AppError {
  return AppError.of("CONFLICT", "You have just subscribed. Change the plan instead.");
}

/** The live checkout of this user and offer, made if there is none. */
function findOrCreate(
  { store, now }: CheckoutDeps,
  userId: string,
  { kind, offer }: Order,
): Promise<Checkout> {
  const liveKey = kind === "PLAN" ? `${userId}:PLAN` : `${userId}:PACKAGE:${offer.id}`;
  return store.lockedTransaction(userId, async ({ checkouts, customers: users, subscriptions }) => {
    // Erased while the order was on its way: nobody could cancel what is paid.
    if ((await users.find(userId))?.deletedAt !== null) throw notFound("user");
    // Paid in another tab while the order was on its way, or while the checkout of another plan was ended for this one.
    if (kind === "PLAN" && (await subscriptions.findLive(userId)) !== null) throw justSubscribed();
    const live = await checkouts.findLive(liveKey);
    if (live !== null) return live;
    const nowMs = now();
    const checkout: Checkout = {
      id: newId(nowMs),
      userId,
      kind,
      offerId: offer.id,
      credits: offer.credits,
      amount: offer.price,
      currency: offer.currency,
      stripeSessionId: null,
      // Whole seconds, as Stripe keeps them, so that a repeated order is the same order.
      expiresAt: new Date(Math.floor((nowMs + LIFETIME_MS) / 1000) * 1000),
      createdAt: new Date(nowMs),
    };
    await checkouts.create(checkout, liveKey);
    return checkout;
  });
}

/** Whether a live checkout still offers what is ordered, for long enough. */
function isStillOffered(checkout: Checkout, { offer }: Order, nowMs: number): boolean {
  return (
    checkout.offerId === offer.id &&
    checkout.credits === offer.credits &&
    checkout.amount === offer.price &&
    checkout.currency === offer.currency &&
    checkout.expiresAt.getTime() - nowMs > MIN_LEFT_MS
  );
}

/** Ends a checkout at Stripe first, then here; what was paid in the meantime is settled instead. */
async function retireCheckout(deps: CheckoutDeps, checkout: Checkout): Promise<void> {
  const { id, stripeSessionId: sessionId } = checkout;
  if (sessionId === null) {
    if (await expireCheckout(deps, checkout)) return;
    // Another press has stored its session meanwhile, which somebody may pay.
    const current = await deps.store.checkouts.find(id);
    if (current !== null && current.stripeSessionId !== null) await retireCheckout(deps, current);
    return;
  }
  try {
    await deps.stripe.expireCheckout(sessionId);
  } catch (error) {
    if (isRefusal(error, "missing")) return void (await expireCheckout(deps, checkout));
    if (!isRefusal(error, "invalid")) throw error;
  }
  await syncWithStripe(deps, { kind: "checkout", sessionId });
}

/**
 * Ends a checkout here that has no session at Stripe that could still be paid. False when it has changed since it was
 * read: it may have a session by now.
 */
function expireCheckout({ store }: CheckoutDeps, checkout: Checkout): Promise<boolean> {
  return store.lockedTransaction(checkout.userId, async ({ checkouts, payments }) => {
    if (!(await checkouts.expireOpen(checkout))) return false;
    await payments.failUnpaid(checkout.id);
    return true;
  });
}

/** Orders the session of a checkout and stores it. Null: start again. */
async function startSession(
  deps: CheckoutDeps,
  checkout: Checkout,
  order: Order,
): Promise<OpenCheckout | null> {
  const session = await orderSession(deps, checkout, order);
  if (session === null || session.url === null) return null;
  if (!(await storeSession(deps, checkout, session))) return null;
  return { sessionId: session.id, checkoutUrl: session.url };
}

/** Orders the session of a checkout; the same checkout always orders the same session. Null: start again. */
async function orderSession(
  deps: CheckoutDeps,
  checkout: Checkout,
  order: Order,
): Promise<StripeCheckout | null> {
  const { stripe, catalog, customers, frontendUrl } = deps;
  const { userId, kind, offerId, credits } = checkout;
  const customerId = await customers.ensure(userId);
  const price = await readPrice(deps, order);
  try {
    const session = await stripe.createCheckout(
      {
        mode: checkout.kind === "PLAN" ? "subscription" : "payment",
        customerId,
        note: { checkoutId: checkout.id, userId, kind, offerId, credits },
        price,
        successUrl: `${frontendUrl}/payment/success?session_id={CHECKOUT_SESSION_ID}`,
        cancelUrl: `${frontendUrl}/payment/cancel`,
        expiresAt: checkout.expiresAt,
      },
      `checkout:${checkout.id}`,
    );
    if (matchesOffer(session, checkout)) return session;
    // The price at Stripe is behind the catalog (stripe:sync has not run): nobody may pay the wrong one.
    await stripe.expireCheckout(session.id);
    if ("priceId" in price) await catalog.forgetPrice(price.priceId);
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal?.refusal === "missing" && refusal.param === "customer")
      await customers.forget(checkout.userId, customerId);
    else if (
      refusal?.refusal !== "keyReused" &&
      !("priceId" in price && (await catalog.isPriceAtFault(error, price.priceId)))
    )
      throw error;
  }
  // An order that came to nothing has used up its key: the next one is a row of its own, or what another press was given.
  await expireCheckout(deps, checkout);
  return null;
}

async function readPrice({ catalog }: CheckoutDeps, order: Order): Promise<CheckoutPrice> {
  if (order.kind === "PLAN") return { priceId: await catalog.planPrice(order.offer) };
  const { name, credits, price, currency } = order.offer;
  // As stored now: the id at hand may be one that was just forgotten, or of a price before the last sync.
  const { stripePriceId } = await catalog.package(order.offer.id);
  if (stripePriceId !== null) return { priceId: stripePriceId };
  return { name: `${name}: ${credits} credits`, amount: price, currency };
}

/** Stores the session of a checkout with its payment. False when the checkout was closed meanwhile. */
function storeSession(
  { store }: CheckoutDeps,
  checkout: Checkout,
  session: StripeCheckout,
): Promise<boolean> {
  return store.lockedTransaction(checkout.userId, async ({ checkouts, payments }) => {
    if (!(await checkouts.setSession(checkout.id, session))) return false;
    if ((await payments.find({ id: checkout.id })) === null)
      await payments.create(pendingPayment(checkout, session.id));
    return true;
  });
}
