// Owns money that went back: refunds and disputes of a payment, and the credits that go with them, either way.
import type { DatabaseTransaction, PrismaModels } from "../../database/ports.ts";
import { scopedKey } from "../../ledger/idempotency-key.ts";
import type { LedgerOperation } from "../../ledger/ports.ts";
import { paidInAll, takenTargets } from "../catalog/kept-credits.ts";
import type { StripeDispute, StripeInvoice, StripeRefund } from "../stripe/port.ts";
import { isRefusal, unlessMissing } from "../stripe/errors.ts";
import { returnsEffect } from "./returns.sync.ts";
import { allOf, type PaymentDeps, type SyncEffect } from "./sync-transaction.ts";

type PaymentRow = NonNullable<Awaited<ReturnType<PrismaModels["payment"]["findUnique"]>>>;

/** How much money is back now. Minor units. */
export interface MoneyBack {
  readonly refunded: number;
  /** By credit notes other than as refunds: to the customer's balance, out of band, never asked for. */
  readonly credited: number;
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

/** What the payment's history shows. */
export function statusAfter(
  payment: Pick<PaymentRow, "amount" | "total">,
  back: MoneyBack,
): string {
  if (back.disputed > 0) return "DISPUTED";
  const given = back.refunded + back.credited;
  if (given <= 0) return "SUCCESS";
  return given >= paidInAll(payment) ? "REFUNDED" : "PARTIALLY_REFUNDED";
}

/** Looks at what went back of a payment. */
export interface MoneyBackSync {
  /** By payment intent, whatever it paid for; the purchase itself is settled with it, should its event be late. */
  effect(paymentIntentId: string): Promise<SyncEffect>;
  /** Of an invoice just fetched, whose payment is settled by the caller first. */
  ofInvoice(
    invoice: Pick<StripeInvoice, "id" | "creditNotesAmount">,
    paymentIntentId: string | null,
    userId: string,
  ): Promise<SyncEffect>;
}

/** Makes the look at refunds and disputes. `purchases` settles the purchase a refund came before. */
export function createMoneyBackSync(
  work: PaymentDeps,
  purchases: {
    checkout(sessionId: string): Promise<SyncEffect>;
    invoice(invoiceId: string): Promise<SyncEffect>;
  },
): MoneyBackSync {
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
      payment.creditedAmount === back.credited &&
      payment.disputedAmount === back.disputed &&
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
        creditedAmount: back.credited,
        disputedAmount: back.disputed,
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
  async function backOf(
    paymentIntentId: string | null,
    invoice: Pick<StripeInvoice, "id" | "creditNotesAmount"> | null,
  ): Promise<MoneyBack> {
    let missing: unknown;
    const orNone = (error: unknown): [] => {
      if (!isRefusal(error, "missing") || missing !== undefined) throw error;
      missing = error;
      return [];
    };
    const notes =
      invoice === null || invoice.creditNotesAmount === 0
        ? []
        : await stripe.listCreditNotes(invoice.id);
    const credited = notes.reduce((sum, { creditedAmount }) => sum + creditedAmount, 0);
    if (paymentIntentId === null) return { refunded: 0, credited, disputed: 0 };
    const refunded = refundedOf(await stripe.listRefunds(paymentIntentId).catch(orNone));
    const disputed = disputedOf(await stripe.listDisputes(paymentIntentId).catch(orNone));
    return { refunded, credited, disputed };
  }

  /** The change of one payment's money back. */
  async function lookAt(
    where: { stripeSessionId: string } | { stripeInvoiceId: string },
    paymentIntentId: string | null,
    invoice: Pick<StripeInvoice, "id" | "creditNotesAmount"> | null,
    userId: string,
  ): Promise<SyncEffect> {
    const seen = await models.payment.findUnique({ where, select: { version: true } });
    const back = await backOf(paymentIntentId, invoice);
    return { kind: "effect", userId, apply: (tx) => apply(tx, where, seen?.version ?? 0, back) };
  }

  /** The same of an invoice's payment, with what it means for the subscription's other payments. */
  async function lookAtInvoice(
    invoiceId: string,
    paymentIntentId: string,
    userId: string,
  ): Promise<SyncEffect[]> {
    // Gone at Stripe (a sandbox started anew): its refunds may still be known.
    const invoice = await unlessMissing(stripe.getInvoice(invoiceId), null);
    const moved = await lookAt({ stripeInvoiceId: invoiceId }, paymentIntentId, invoice, userId);
    return [moved, returnsEffect(work, userId, invoiceId)];
  }

  return {
    ofInvoice: (invoice, paymentIntentId, userId) =>
      lookAt({ stripeInvoiceId: invoice.id }, paymentIntentId, invoice, userId),
    effect: async (paymentIntentId) => {
      const known = await models.payment.findUnique({
        where: { stripePaymentId: paymentIntentId },
      });
      if (known !== null && known.paidAt !== null) {
        const { userId, stripeInvoiceId, stripeSessionId } = known;
        if (stripeInvoiceId !== null)
          return allOf(userId, await lookAtInvoice(stripeInvoiceId, paymentIntentId, userId));
        const where = { stripeSessionId: stripeSessionId ?? "" };
        return lookAt(where, paymentIntentId, null, userId);
      }
      const session = await unlessMissing(
        stripe.findCheckoutByPaymentIntent(paymentIntentId),
        null,
      );
      if (session !== null) {
        const purchase = await purchases.checkout(session.id);
        if (purchase.kind === "ignored") return purchase;
        const { userId } = purchase;
        const where = { stripeSessionId: session.id };
        return allOf(userId, [purchase, await lookAt(where, paymentIntentId, null, userId)]);
      }
      const invoiceId = await unlessMissing(
        stripe.findInvoiceByPaymentIntent(paymentIntentId),
        null,
      );
      if (invoiceId === null)
        return { kind: "ignored", reason: "The payment is not one of this server's." };
      const purchase = await purchases.invoice(invoiceId);
      if (purchase.kind === "ignored") return purchase;
      const { userId } = purchase;
      return allOf(userId, [
        purchase,
        ...(await lookAtInvoice(invoiceId, paymentIntentId, userId)),
      ]);
    },
  };
}
