// Opens a Stripe Checkout: our row first, one live checkout per user and package (or per user, for plans), and the same
// one on a second click.
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
  /** Where Checkout sends the user back to. */
  readonly frontendUrl: string;
}

/** What the user wants to buy. */
export type Order =
  | { readonly kind: "PACKAGE"; readonly offer: PackageOffer }
  | { readonly kind: "PLAN"; readonly offer: PlanOffer };

/** An open checkout, and where to send the user. */
export interface OpenCheckout {
  readonly sessionId: string;
  readonly checkoutUrl: string;
}

/** Stripe allows 30 minutes to 24 hours. */
const LIFETIME_MS = 23 * HOUR_MS;
/** A checkout with less time left is replaced so that no one has to hurry. Just above Stripe's minimum for new ones. */
const MIN_LEFT_MS = 31 * 60_000;
const MAX_ROUNDS = 6;

/**
 * Opens a checkout. Throws PAYMENT_PROVIDER_ERROR, NOT_FOUND (deleted user), CONFLICT (a plan, when the user has just
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

/** Closes all of the user's open checkouts, at Stripe and here. */
export async function closeCheckouts(deps: CheckoutDeps, userId: string): Promise<void> {
  for (const checkout of await deps.store.checkouts.open(userId))
    await retireCheckout(deps, checkout);
}

/** Returns the open checkout, or null when the existing one had to be closed first and the caller should try again. */
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

/** Returns the user's live checkout for this package (or for any plan), creating one if there is none. */
function findOrCreate(
  { store, now }: CheckoutDeps,
  userId: string,
  { kind, offer }: Order,
): Promise<Checkout> {
  const liveKey = kind === "PLAN" ? `${userId}:PLAN` : `${userId}:PACKAGE:${offer.id}`;
  return store.lockedTransaction(userId, async ({ checkouts, customers: users, subscriptions }) => {
    // Erased while the order was in flight: no one could cancel what is paid.
    if ((await users.find(userId))?.deletedAt !== null) throw notFound("user");
    // Paid in another tab while the order was in flight, or while the checkout of another plan was closed for this one.
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
      // Whole seconds, as Stripe stores them, so that a repeated order is identical.
      expiresAt: new Date(Math.floor((nowMs + LIFETIME_MS) / 1000) * 1000),
      createdAt: new Date(nowMs),
    };
    await checkouts.create(checkout, liveKey);
    return checkout;
  });
}

/** Whether a live checkout still matches the order and has enough time left. */
function isStillOffered(checkout: Checkout, { offer }: Order, nowMs: number): boolean {
  return (
    checkout.offerId === offer.id &&
    checkout.credits === offer.credits &&
    checkout.amount === offer.price &&
    checkout.currency === offer.currency &&
    checkout.expiresAt.getTime() - nowMs > MIN_LEFT_MS
  );
}

/** Closes a checkout, at Stripe first, then here. If it was paid in the meantime, it is settled instead. */
async function retireCheckout(deps: CheckoutDeps, checkout: Checkout): Promise<void> {
  const { id, stripeSessionId: sessionId } = checkout;
  if (sessionId === null) {
    if (await expireCheckout(deps, checkout)) return;
    // Another click has stored a session meanwhile, which could still be paid.
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
 * Closes, here only, a checkout without a session at Stripe that could still be paid. Returns false when it has changed
 * since it was read: it may have a session by now.
 */
function expireCheckout({ store }: CheckoutDeps, checkout: Checkout): Promise<boolean> {
  return store.lockedTransaction(checkout.userId, async ({ checkouts, payments }) => {
    if (!(await checkouts.expireOpen(checkout))) return false;
    await payments.failUnpaid(checkout.id);
    return true;
  });
}

/** Creates a checkout's session and stores it. Returns null when the caller should start again. */
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

/**
 * Creates a checkout's session at Stripe; the same checkout always gets the same session. Returns null when the
 * caller should start again.
 */
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
    // The price at Stripe lags behind the catalog (stripe:sync has not run): never let the wrong price be paid.
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
  // A failed order has used up its idempotency key, so this row is closed. The next attempt gets a new row, or the
  // session that another click has stored.
  await expireCheckout(deps, checkout);
  return null;
}

async function readPrice({ catalog }: CheckoutDeps, order: Order): Promise<CheckoutPrice> {
  if (order.kind === "PLAN") return { priceId: await catalog.planPrice(order.offer) };
  const { name, credits, price, currency } = order.offer;
  // Read the package again: the caller's price id may have just been forgotten, or predate the last sync.
  const { stripePriceId } = await catalog.package(order.offer.id);
  if (stripePriceId !== null) return { priceId: stripePriceId };
  return { name: `${name}: ${credits} credits`, amount: price, currency };
}

/** Stores a checkout's session along with its payment. Returns false when the checkout was closed meanwhile. */
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
