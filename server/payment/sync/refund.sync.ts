// Owns money that went back: refunds and disputes of a payment, and the credits that go with them, either way.
import type { DatabaseTransaction, PrismaModels } from "../../database/database.ts";
import { scopedKey } from "../../ledger/idempotency-key.ts";
import type { LedgerOperation } from "../../ledger/ports.ts";
import { creditShare } from "../../ledger/model/refund-share.ts";
import type { StripeDispute, StripeRefund } from "../stripe/port.ts";
import { isRefusal, unlessMissing } from "../stripe/errors.ts";
import { allOf, type PaymentWork, type Truth } from "./sync-transaction.ts";

type PaymentRow = NonNullable<Awaited<ReturnType<PrismaModels["payment"]["findUnique"]>>>;

/** How much money is back now. Minor units. */
export interface MoneyBack {
  readonly refunded: number;
  readonly disputed: number;
}

/** Refunds on their way count; failed and cancelled ones do not. */
export function refundedOf(refunds: readonly StripeRefund[]): number {
  return refunds
    .filter(({ status }) => status !== "failed" && status !== "canceled")
    .reduce((sum, { amount }) => sum + amount, 0);
}

/** Open and lost disputes hold the money; won ones and inquiries (`warning_…`), which move none, do not. */
export function disputedOf(disputes: readonly StripeDispute[]): number {
  return disputes
    .filter(
      ({ status }) => status !== "won" && status !== "prevented" && !status.startsWith("warning_"),
    )
    .reduce((sum, { amount }) => sum + amount, 0);
}

/** What should be taken of a payment's credits in all: by refunds their share, by disputes theirs of the rest. */
export function takenTargets(
  payment: Pick<PaymentRow, "amount" | "creditsPurchased">,
  back: MoneyBack,
): { byRefunds: number; byDisputes: number } {
  const { creditsPurchased, amount } = payment;
  const byRefunds = creditShare(creditsPurchased, back.refunded, amount);
  const inAll = creditShare(creditsPurchased, back.refunded + back.disputed, amount);
  return { byRefunds, byDisputes: inAll - byRefunds };
}

/** What the payment's history shows. */
export function statusAfter(payment: Pick<PaymentRow, "amount">, back: MoneyBack): string {
  if (back.disputed > 0) return "DISPUTED";
  if (back.refunded <= 0) return "SUCCESS";
  return back.refunded >= payment.amount ? "REFUNDED" : "PARTIALLY_REFUNDED";
}

/** Looks at what went back of a payment. */
export interface MoneyBackTruth {
  /** By payment intent, whatever it paid for; the purchase itself is settled with it, should its event be late. */
  truth(paymentIntentId: string): Promise<Truth>;
  ofInvoice(invoiceId: string, paymentIntentId: string): Promise<Truth>;
}

/** Makes the look at refunds and disputes. `purchases` settles the purchase a refund came before. */
export function createMoneyBackTruth(
  work: PaymentWork,
  purchases: {
    checkout(sessionId: string): Promise<Truth>;
    invoice(invoiceId: string): Promise<Truth>;
  },
): MoneyBackTruth {
  const { stripe } = work;
  const { models } = work.database;

  async function apply(
    tx: DatabaseTransaction,
    where: { stripeSessionId: string } | { stripeInvoiceId: string },
    seenVersion: number,
    back: MoneyBack,
  ): Promise<"done" | "stale"> {
    const payment = await tx.models.payment.findUnique({ where });
    // Never paid as far as anybody knows: there is nothing to take back.
    if (payment === null || payment.paidAt === null) return "done";
    if (payment.version !== seenVersion) return "stale";
    const { byRefunds, byDisputes } = takenTargets(payment, back);
    const status = statusAfter(payment, back);
    if (
      payment.status === status &&
      payment.refundedAmount === back.refunded &&
      payment.refundedCredits === byRefunds &&
      payment.disputedCredits === byDisputes
    )
      return "done";
    const operations = await movements(tx, payment, byRefunds, byDisputes);
    await tx.models.payment.update({
      where: { id: payment.id },
      data: {
        status,
        refundedAmount: back.refunded,
        refundedCredits: byRefunds,
        disputedCredits: byDisputes,
        version: payment.version + 1,
      },
    });
    if (operations.length > 0) await work.ledger.applyIn(tx, operations);
    return "done";
  }

  /** The entries that bring what is taken to where it should be. The version makes each key one of a kind. */
  async function movements(
    tx: DatabaseTransaction,
    payment: PaymentRow,
    byRefunds: number,
    byDisputes: number,
  ): Promise<LedgerOperation[]> {
    const grantKey = `payment:${payment.id}`;
    const lot = await tx.models.creditGrant.findUnique({
      where: { grantKey },
      select: { expiresAt: true },
    });
    const take = (type: "REFUND" | "DISPUTE", credits: number, description: string) => ({
      kind: "takeBack" as const,
      userId: payment.userId,
      amountCredits: credits,
      type,
      sourceId: payment.id,
      grantKey,
      idempotencyKey: scopedKey(
        type === "REFUND" ? "refund" : "dispute",
        String(payment.version + 1),
        payment.id,
      ),
      description,
    });
    const give = (source: "REFUND" | "DISPUTE_REVERSAL", credits: number, description: string) => ({
      kind: "grant" as const,
      userId: payment.userId,
      amountCredits: credits,
      source,
      sourceId: payment.id,
      grantKey: `${source.toLowerCase()}:${payment.id}:${payment.version + 1}`,
      expiresAt: lot?.expiresAt ?? null,
      description,
    });
    const refundDelta = byRefunds - payment.refundedCredits;
    const disputeDelta = byDisputes - payment.disputedCredits;
    const operations: LedgerOperation[] = [];
    // What comes back first, so that what goes can be taken of it.
    if (refundDelta < 0) operations.push(give("REFUND", -refundDelta, "A refund failed"));
    if (disputeDelta < 0)
      operations.push(give("DISPUTE_REVERSAL", -disputeDelta, "A dispute was decided"));
    if (refundDelta > 0) operations.push(take("REFUND", refundDelta, "Refunded"));
    if (disputeDelta > 0) operations.push(take("DISPUTE", disputeDelta, "Disputed"));
    return operations;
  }

  /** One of the two lists may be unknown to a Stripe stand-in; a payment intent nobody knows is an error, not "nothing". */
  async function backOf(paymentIntentId: string): Promise<MoneyBack> {
    let missing: unknown;
    const orNone = (error: unknown): [] => {
      if (!isRefusal(error, "missing") || missing !== undefined) throw error;
      missing = error;
      return [];
    };
    const refunded = refundedOf(await stripe.listRefunds(paymentIntentId).catch(orNone));
    const disputed = disputedOf(await stripe.listDisputes(paymentIntentId).catch(orNone));
    return { refunded, disputed };
  }

  /** `purchase` null: it is settled already or comes with the caller. */
  async function lookAt(
    where: { stripeSessionId: string } | { stripeInvoiceId: string },
    paymentIntentId: string,
    purchase: Truth | null,
    userId: string,
  ): Promise<Truth> {
    const seen = await models.payment.findUnique({ where, select: { version: true } });
    const back = await backOf(paymentIntentId);
    const moved: Truth = {
      kind: "effect",
      userId,
      apply: (tx) => apply(tx, where, seen?.version ?? 0, back),
    };
    return purchase === null ? moved : allOf(userId, [purchase, moved]);
  }

  return {
    ofInvoice: async (invoiceId, paymentIntentId) => {
      const payment = await models.payment.findUnique({
        where: { stripeInvoiceId: invoiceId },
        select: { userId: true },
      });
      if (payment === null) return { kind: "ignored", reason: "The invoice has no payment here." };
      return lookAt({ stripeInvoiceId: invoiceId }, paymentIntentId, null, payment.userId);
    },
    truth: async (paymentIntentId) => {
      const known = await models.payment.findUnique({
        where: { stripePaymentId: paymentIntentId },
      });
      if (known !== null && known.paidAt !== null) {
        const where =
          known.stripeInvoiceId === null
            ? { stripeSessionId: known.stripeSessionId ?? "" }
            : { stripeInvoiceId: known.stripeInvoiceId };
        return lookAt(where, paymentIntentId, null, known.userId);
      }
      const session = await unlessMissing(
        stripe.findCheckoutByPaymentIntent(paymentIntentId),
        null,
      );
      if (session !== null) {
        const purchase = await purchases.checkout(session.id);
        if (purchase.kind === "ignored") return purchase;
        return lookAt({ stripeSessionId: session.id }, paymentIntentId, purchase, purchase.userId);
      }
      const invoiceId = await unlessMissing(
        stripe.findInvoiceByPaymentIntent(paymentIntentId),
        null,
      );
      if (invoiceId === null)
        return { kind: "ignored", reason: "The payment is not one of this server's." };
      const purchase = await purchases.invoice(invoiceId);
      if (purchase.kind === "ignored") return purchase;
      return lookAt({ stripeInvoiceId: invoiceId }, paymentIntentId, purchase, purchase.userId);
    },
  };
}
