// Owns opening a Stripe Checkout: our row first, one live checkout per user and offer, the same one for a second click.
import { AppError } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import type { Catalogue, PackageOffer, PlanOffer } from "../catalog/catalog.ts";
import type { CheckoutRow } from "../sync/checkout-lookup.ts";
import { matchesOffer, pendingPayment } from "../sync/checkout.sync.ts";
import type { Customers } from "./customers.ts";
import type { Fulfilment } from "../sync/sync.ts";
import type { CheckoutPrice, StripeCheckout } from "../stripe/port.ts";
import { isRefusal, refusalOf } from "../stripe/errors.ts";
import { lockUser } from "../../database/lock-user.ts";
import type { PaymentDeps } from "../sync/sync-transaction.ts";

/** What somebody wants to buy. */
export type Wanted =
  | { readonly kind: "PACKAGE"; readonly offer: PackageOffer }
  | { readonly kind: "PLAN"; readonly offer: PlanOffer };

/** An open checkout: where to send the person. */
export interface OpenCheckout {
  readonly sessionId: string;
  readonly checkoutUrl: string;
}

/** Stripe allows 30 minutes to 24 hours. */
const LIFETIME_MS = 23 * 3_600_000;
/** A checkout with less time left than this is replaced: nobody pays in a hurry. Stripe's minimum for a new one. */
const MIN_LEFT_MS = 31 * 60_000;
const MAX_ROUNDS = 6;

/** Opens checkouts. */
export interface Checkouts {
  /** Throws PAYMENT_PROVIDER_ERROR, NOT_FOUND (deleted user), CONFLICT (a paid subscription checkout is being settled). */
  open(userId: string, wanted: Wanted): Promise<OpenCheckout>;
  /** Ends what the user has open at Stripe and here. */
  closeAll(userId: string): Promise<void>;
}

/** Makes the checkouts part. */
export function createCheckouts(
  work: PaymentDeps & { readonly frontendUrl: string },
  parts: { catalogue: Catalogue; customers: Customers; fulfilment: Fulfilment },
): Checkouts {
  const { stripe, database } = work;
  const { catalogue, customers, fulfilment } = parts;

  const liveKeyOf = (userId: string, wanted: Wanted): string =>
    wanted.kind === "PLAN" ? `${userId}:PLAN` : `${userId}:PACKAGE:${wanted.offer.id}`;

  /** The live row of this user and offer, made if there is none. */
  function liveRow(userId: string, wanted: Wanted): Promise<CheckoutRow> {
    const liveKey = liveKeyOf(userId, wanted);
    return database.transaction(async (tx) => {
      await lockUser(tx, userId);
      const known = await tx.models.checkout.findUnique({ where: { liveKey } });
      if (known !== null) return known;
      const now = work.now();
      return tx.models.checkout.create({
        data: {
          id: newId(now),
          userId,
          kind: wanted.kind,
          offerId: wanted.offer.id,
          credits: wanted.offer.credits,
          amount: wanted.offer.price,
          currency: wanted.offer.currency,
          status: "OPEN",
          liveKey,
          // Whole seconds, as Stripe keeps them, so that a repeated order is the same order.
          expiresAt: new Date(Math.floor((now + LIFETIME_MS) / 1000) * 1000),
          createdAt: new Date(now),
        },
      });
    });
  }

  /** Whether this live row still offers what is asked for, for long enough. */
  function fits(row: CheckoutRow, { offer }: Wanted): boolean {
    return (
      row.offerId === offer.id &&
      row.credits === offer.credits &&
      row.amount === offer.price &&
      row.currency === offer.currency &&
      row.expiresAt.getTime() - work.now() > MIN_LEFT_MS
    );
  }

  /** Closes a row that has no session at Stripe that could still be paid. */
  async function closeRow(row: CheckoutRow): Promise<void> {
    await database.transaction(async (tx) => {
      await lockUser(tx, row.userId);
      await tx.models.checkout.updateMany({
        where: { id: row.id, status: "OPEN" },
        data: { status: "EXPIRED", liveKey: null, url: null },
      });
      await tx.models.payment.updateMany({
        where: { id: row.id, paidAt: null },
        data: { status: "FAILED" },
      });
    });
  }

  /** Ends a row at Stripe first, then here; what was paid in the meantime is fulfilled instead. */
  async function retire(row: CheckoutRow): Promise<void> {
    if (row.stripeSessionId === null) return closeRow(row);
    try {
      await stripe.expireCheckout(row.stripeSessionId);
    } catch (error) {
      if (isRefusal(error, "missing")) return closeRow(row);
      if (!isRefusal(error, "invalid")) throw error;
    }
    await fulfilment.fulfil({ kind: "checkout", sessionId: row.stripeSessionId });
  }

  async function priceOf(wanted: Wanted): Promise<CheckoutPrice> {
    if (wanted.kind === "PLAN") return { priceId: await catalogue.planPrice(wanted.offer) };
    const { name, credits, price, currency } = wanted.offer;
    // As stored now: the id at hand may be one that was just forgotten, or of a price before the last sync.
    const { stripePriceId } = await catalogue.package(wanted.offer.id);
    if (stripePriceId !== null) return { priceId: stripePriceId };
    return { name: `${name}: ${credits} credits`, amount: price, currency };
  }

  /** Orders the session of a row; the same row always orders the same session. Null: start again. */
  async function order(row: CheckoutRow, wanted: Wanted): Promise<StripeCheckout | null> {
    const customerId = await customers.ensure(row.userId);
    const price = await priceOf(wanted);
    try {
      const session = await stripe.createCheckout(
        {
          mode: row.kind === "PLAN" ? "subscription" : "payment",
          customerId,
          checkoutId: row.id,
          price,
          successUrl: `${work.frontendUrl}/payment/success?session_id={CHECKOUT_SESSION_ID}`,
          cancelUrl: `${work.frontendUrl}/payment/cancel`,
          expiresAt: row.expiresAt,
        },
        `checkout:${row.id}`,
      );
      if (matchesOffer(session, row)) return session;
      // The price at Stripe is behind the catalogue (stripe:sync has not run): nobody may pay the wrong one.
      await stripe.expireCheckout(session.id);
      if ("priceId" in price) await catalogue.forgetPrice(price.priceId);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal?.refusal === "missing" && refusal.param === "customer")
        await customers.forget(row.userId, customerId);
      else if (
        refusal?.refusal !== "keyReused" &&
        !("priceId" in price && (await catalogue.isPriceAtFault(error, price.priceId)))
      )
        throw error;
    }
    // An order that came to nothing has used up its key: the next one is a row of its own.
    await closeRow(row);
    return null;
  }

  /** Stores the session of a row with its payment. False when the row was closed meanwhile. */
  function store(row: CheckoutRow, session: StripeCheckout): Promise<boolean> {
    return database.transaction(async (tx) => {
      await lockUser(tx, row.userId);
      const { count } = await tx.models.checkout.updateMany({
        where: { id: row.id, status: "OPEN" },
        data: { stripeSessionId: session.id, url: session.url },
      });
      if (count === 0) return false;
      const payment = await tx.models.payment.findUnique({ where: { id: row.id } });
      if (payment === null)
        await tx.models.payment.create({ data: pendingPayment(row, session.id) });
      return true;
    });
  }

  /** One round: the open checkout, or null when the row at hand had to go first. */
  async function round(userId: string, wanted: Wanted): Promise<OpenCheckout | null> {
    const row = await liveRow(userId, wanted);
    if (!fits(row, wanted)) {
      await retire(row);
      return null;
    }
    if (row.stripeSessionId === null) {
      const session = await order(row, wanted);
      if (session === null || session.url === null) return null;
      if (!(await store(row, session))) return null;
      return { sessionId: session.id, checkoutUrl: session.url };
    }
    let session: StripeCheckout;
    try {
      session = await stripe.getCheckout(row.stripeSessionId);
    } catch (error) {
      if (!isRefusal(error, "missing")) throw error;
      await closeRow(row);
      return null;
    }
    if (session.status === "open" && session.url !== null)
      return { sessionId: session.id, checkoutUrl: session.url };
    await fulfilment.fulfil({ kind: "checkout", sessionId: session.id });
    if (wanted.kind === "PLAN" && session.status === "complete")
      throw AppError.of("CONFLICT", "You have just subscribed. Change the plan instead.");
    return null;
  }

  return {
    open: async (userId, wanted) => {
      for (let rounds = 0; rounds < MAX_ROUNDS; rounds += 1) {
        const open = await round(userId, wanted);
        if (open !== null) return open;
      }
      throw AppError.of("SERVICE_UNAVAILABLE", "The checkout could not be opened. Try again.", {
        retryAfterSeconds: 2,
      });
    },
    closeAll: async (userId) => {
      const rows = await database.models.checkout.findMany({ where: { userId, status: "OPEN" } });
      for (const row of rows) await retire(row);
    },
  };
}
