// Owns what a checkout session came to: closes our checkout, settles its payment, grants what was bought.
import type { DatabaseTransaction } from "../../database/ports.ts";
import { AppError } from "../../lib/errors.ts";
import { type CheckoutRow, checkoutOf } from "./checkout-lookup.ts";
import type { InvoiceSync } from "./invoice.sync.ts";
import type { StripeCheckout } from "../stripe/port.ts";
import { isRefusal } from "../stripe/errors.ts";
import { allOf, type PaymentDeps, type SyncEffect } from "./sync-transaction.ts";

/** After this long nothing unpaid is expected to be paid any more. */
const GRACE_MS = 3 * 86_400_000;

/** Looks at one checkout session. */
export type CheckoutSync = (sessionId: string) => Promise<SyncEffect>;

/** Whether what Stripe charged for is what we offered: the recorded offer counts, metadata never does. */
export function matchesOffer(
  session: Pick<StripeCheckout, "amountSubtotal" | "currency">,
  offer: Pick<CheckoutRow, "amount" | "currency">,
): boolean {
  if (session.currency !== null && session.currency !== offer.currency) return false;
  return session.amountSubtotal === null || session.amountSubtotal === offer.amount;
}

/** Makes the look at a checkout session. */
export function createCheckoutSync(
  work: PaymentDeps,
  invoices: { effect: InvoiceSync },
  subscriptions: { effect(subscriptionId: string): Promise<SyncEffect> },
): CheckoutSync {
  const { stripe } = work;
  const { models } = work.database;

  /** The fate of a delayed payment that has not been paid: still under way, or over. */
  async function hasFailed(session: StripeCheckout): Promise<boolean> {
    if (session.status !== "complete" || session.paymentStatus !== "unpaid") return false;
    if (session.paymentIntentId === null) return false;
    const status = await stripe
      .getPaymentIntentStatus(session.paymentIntentId)
      .catch((error: unknown) => {
        if (isRefusal(error, "missing")) return null;
        throw error;
      });
    return status === "requires_payment_method" || status === "canceled";
  }

  /** A session Stripe does not know, long after its time: nobody can pay it any more. */
  async function unknownSession(sessionId: string): Promise<SyncEffect> {
    const row = await models.checkout.findUnique({ where: { stripeSessionId: sessionId } });
    if (row === null)
      return { kind: "ignored", reason: "Stripe does not know this checkout session." };
    // Ours and still open, yet unknown there: the wrong key or account, say. Asked again later, nothing is lost.
    if (row.expiresAt.getTime() + GRACE_MS > work.now())
      throw AppError.of(
        "PAYMENT_PROVIDER_ERROR",
        "Stripe does not know this checkout session yet.",
      );
    return {
      kind: "effect",
      userId: row.userId,
      apply: async (tx) => {
        await close(tx, row, sessionId, "EXPIRED");
        await fail(tx, row);
        return "done";
      },
    };
  }

  /** The checkout can no longer be paid; the next one may open. */
  const close = (
    tx: DatabaseTransaction,
    row: CheckoutRow,
    sessionId: string,
    status: "COMPLETE" | "EXPIRED",
  ) =>
    tx.models.checkout.update({
      where: { id: row.id },
      data: { status, liveKey: null, url: null, stripeSessionId: sessionId },
    });

  const fail = (tx: DatabaseTransaction, row: CheckoutRow) =>
    tx.models.payment.updateMany({
      where: { id: row.id, paidAt: null },
      data: { status: "FAILED" },
    });

  async function applyPackage(
    tx: DatabaseTransaction,
    row: CheckoutRow,
    session: StripeCheckout,
    failed: boolean,
  ): Promise<void> {
    const { payment: payments } = tx.models;
    const payment = await payments.findUnique({ where: { id: row.id } });
    const paidAt = new Date(work.now());
    const isPaid =
      session.status === "complete" &&
      (session.paymentStatus === "paid" || session.paymentStatus === "no_payment_required");
    if (isPaid && (payment === null || payment.paidAt === null)) {
      const facts = {
        status: "SUCCESS",
        amount: session.amountTotal ?? row.amount,
        currency: session.currency ?? row.currency,
        stripeSessionId: session.id,
        stripePaymentId: session.paymentIntentId,
        creditsPurchased: row.credits,
        paidAt,
      };
      await payments.upsert({
        where: { id: row.id },
        update: facts,
        create: { ...facts, ...pendingPayment(row, session.id), ...facts },
      });
      await work.ledger.applyIn(tx, [
        {
          kind: "grant",
          userId: row.userId,
          amountCredits: row.credits,
          source: "PURCHASE",
          sourceId: row.id,
          grantKey: `payment:${row.id}`,
          expiresAt: null,
          description: `Bought ${row.credits} credits`,
        },
      ]);
      return;
    }
    if (payment === null || payment.paidAt !== null) return;
    const isOver = session.status === "expired" || failed;
    await payments.update({
      where: { id: row.id },
      data: {
        ...(isOver ? { status: "FAILED" } : {}),
        ...(session.paymentIntentId === null ? {} : { stripePaymentId: session.paymentIntentId }),
      },
    });
  }

  async function closeCheckout(
    tx: DatabaseTransaction,
    row: CheckoutRow,
    session: StripeCheckout,
  ): Promise<void> {
    if (session.status === "open") return;
    await close(tx, row, session.id, session.status === "complete" ? "COMPLETE" : "EXPIRED");
    // A plan's first invoice is paid within a day or never; should it be after all, that counts.
    const isLate = session.createdAt.getTime() + GRACE_MS < work.now();
    const isForgotten = row.kind === "PLAN" && session.paymentStatus === "unpaid" && isLate;
    if (session.status === "expired" || isForgotten) await fail(tx, row);
  }

  return async (sessionId) => {
    let session: StripeCheckout;
    try {
      session = await stripe.getCheckout(sessionId);
    } catch (error) {
      if (!isRefusal(error, "missing")) throw error;
      return unknownSession(sessionId);
    }
    const row = await checkoutOf(models, session);
    if (row === null)
      return { kind: "ignored", reason: "This checkout session was not opened by this server." };
    const closed: SyncEffect = {
      kind: "effect",
      userId: row.userId,
      apply: async (tx) => {
        await closeCheckout(tx, row, session);
        return "done";
      },
    };
    if (row.kind === "PLAN") {
      const effects: SyncEffect[] = [closed];
      if (session.subscriptionId !== null)
        effects.push(
          session.invoiceId === null
            ? await subscriptions.effect(session.subscriptionId)
            : await invoices.effect(session.invoiceId),
        );
      return allOf(row.userId, effects);
    }
    if (!matchesOffer(session, row)) {
      work.logger.error({ sessionId, checkoutId: row.id }, "checkout paid at another price");
      return { kind: "ignored", reason: "The amount or currency is not what was offered." };
    }
    const failed = await hasFailed(session);
    return allOf(row.userId, [
      closed,
      {
        kind: "effect",
        userId: row.userId,
        apply: async (tx) => {
          await applyPackage(tx, row, session, failed);
          return "done";
        },
      },
    ]);
  };
}

/** The payment of a checkout before anybody has paid; it has the checkout's own id. */
export function pendingPayment(row: CheckoutRow, sessionId: string) {
  return {
    id: row.id,
    userId: row.userId,
    stripeSessionId: sessionId,
    packageId: row.kind === "PACKAGE" ? row.offerId : null,
    amount: row.amount,
    currency: row.currency,
    status: "PENDING",
    creditsPurchased: row.credits,
    createdAt: row.createdAt,
  };
}
