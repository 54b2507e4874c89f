// Money given back from one payment (refunds, credit notes, disputes), and the credits that move with it, both ways.
import { scopedKey } from "../../ledger/idempotency-key.ts";
import type { LedgerOperation } from "../../ledger/ports.ts";
import { totalPaid, computeTakeBacks } from "../catalog/kept-credits.ts";
import type { Payment, PaymentKey } from "../payment.types.ts";
import type { PaymentTransaction } from "../ports.ts";
import { explainRefusal } from "../stripe/advice.ts";
import { isRefusal, refusalOf, unlessMissing } from "../stripe/errors.ts";
import type { StripeDispute, StripeInvoice, StripePort, StripeRefund } from "../stripe/port.ts";
import type { SyncDeps, SyncEffect } from "./apply-sync.ts";
import { extendExpiry } from "./late-expiry.ts";

/** How much money has been given back so far, in minor units. */
export interface RefundTotals {
  readonly refunded: number;
  /** By credit notes other than as refunds: to the customer's balance, out of band, or by reducing the amount due. */
  readonly credited: number;
  readonly disputed: number;
}

/** A payment whose money may have been given back. */
interface RefundedPayment {
  readonly key: PaymentKey;
  readonly userId: string;
  /** Several may have paid one invoice. */
  readonly paymentIntentIds: readonly string[];
  /** Null when the payment is not an invoice's. */
  readonly invoice: Pick<StripeInvoice, "id" | "creditNotesAmount"> | null;
}

/** Whether a refund has arrived or still may; a failed or cancelled one will not. */
export function isPendingOrSucceeded({ status }: StripeRefund): boolean {
  return status !== "failed" && status !== "canceled";
}

/** Returns the sum of refunds: pending ones count, failed and cancelled ones do not. */
export function sumRefunds(refunds: readonly StripeRefund[]): number {
  return refunds.filter(isPendingOrSucceeded).reduce((sum, { amount }) => sum + amount, 0);
}

/** Returns the money held by open or lost disputes. Won or prevented ones and inquiries (`warning_…`) hold none. */
export function sumDisputes(disputes: readonly StripeDispute[]): number {
  return disputes
    .filter(
      ({ status }) => status !== "won" && status !== "prevented" && !status.startsWith("warning_"),
    )
    .reduce((sum, { amount }) => sum + amount, 0);
}

/** Returns the payment's status, as its history shows it. */
export function statusAfter(
  payment: Pick<Payment, "amount" | "total">,
  totals: RefundTotals,
): string {
  if (totals.disputed > 0) return "DISPUTED";
  const back = totals.refunded + totals.credited;
  if (back <= 0) return "SUCCESS";
  return back >= totalPaid(payment) ? "REFUNDED" : "PARTIALLY_REFUNDED";
}

/** Reads how much of a payment has been given back. The caller settles the payment first. */
export async function paymentRefundsEffect(
  { store, stripe, now }: SyncDeps,
  payment: RefundedPayment,
  whenForbidden: WhenForbidden = rethrow,
): Promise<SyncEffect & { readonly totals: RefundTotals }> {
  const { key, userId } = payment;
  const version = (await store.payments.find(key))?.version ?? 0;
  const totals = await readTotals(stripe, payment, whenForbidden);
  return {
    kind: "effect",
    userId,
    totals,
    apply: (tx) => writeTotals(tx, key, { version, totals, nowMs: now() }),
  };
}

/**
 * The same when nothing indicates that money was given back. Null when Stripe knows neither refunds nor disputes, as
 * with a stand-in. Lists our key may not read count as empty until the payment is settled here, so that what is paid
 * is granted all the same.
 */
export async function possibleRefundsEffect(
  deps: SyncDeps,
  payment: RefundedPayment,
): Promise<(SyncEffect & { readonly totals: RefundTotals }) | null> {
  const whenForbidden = async (error: unknown): Promise<[]> => {
    const refusal = refusalOf(error);
    if (refusal?.refusal !== "forbidden") throw error;
    const known = await deps.store.payments.find(payment.key);
    // What was given back later has its own event, which is retried until the key has the permission.
    if (known !== null && known.paidAt !== null) throw error;
    deps.logger.error(
      { paymentIntentIds: payment.paymentIntentIds, advice: explainRefusal(refusal) },
      "granted without a look at what is back of it: the Stripe key may not read refunds, disputes or credit notes",
    );
    return [];
  };
  return unlessMissing(paymentRefundsEffect(deps, payment, whenForbidden), null);
}

/** Resolves to a substitute for a list that was refused, or rejects with the error. */
type WhenForbidden = (error: unknown) => Promise<[]>;

const rethrow: WhenForbidden = (error) => {
  throw error;
};

async function readTotals(
  stripe: StripePort,
  { paymentIntentIds, invoice }: RefundedPayment,
  whenForbidden: WhenForbidden,
): Promise<RefundTotals> {
  const notes =
    invoice === null || invoice.creditNotesAmount === 0
      ? []
      : await stripe.listCreditNotes(invoice.id).catch(whenForbidden);
  const credited = notes.reduce((sum, { creditedAmount }) => sum + creditedAmount, 0);
  let [refunded, disputed] = [0, 0];
  for (const id of paymentIntentIds) {
    const back = await readBack(stripe, id, whenForbidden);
    refunded += back.refunded;
    disputed += back.disputed;
  }
  return { refunded, credited, disputed };
}

/** A Stripe stand-in may lack one of the lists. If both are missing, the payment intent is unknown: an error. */
async function readBack(
  stripe: StripePort,
  paymentIntentId: string,
  whenForbidden: WhenForbidden,
): Promise<Pick<RefundTotals, "refunded" | "disputed">> {
  let missing: unknown;
  const orNone = async (error: unknown): Promise<[]> => {
    if (!isRefusal(error, "missing")) return whenForbidden(error);
    if (missing !== undefined) throw error;
    missing = error;
    return [];
  };
  const refunded = sumRefunds(await stripe.listRefunds(paymentIntentId).catch(orNone));
  const disputed = sumDisputes(await stripe.listDisputes(paymentIntentId).catch(orNone));
  return { refunded, disputed };
}

async function writeTotals(
  tx: PaymentTransaction,
  key: PaymentKey,
  seen: { readonly version: number; readonly totals: RefundTotals; readonly nowMs: number },
): Promise<"done" | "stale"> {
  const { totals } = seen;
  const payment = await tx.payments.find(key);
  // Not paid as far as we know, so there is nothing to take back.
  if (payment === null || payment.paidAt === null) return "done";
  if (payment.version !== seen.version) return "stale";
  const version = payment.version + 1;
  const { byRefunds, byDisputes } = computeTakeBacks(payment, totals);
  const change = {
    status: statusAfter(payment, totals),
    refundedAmount: totals.refunded,
    creditedAmount: totals.credited,
    disputedAmount: totals.disputed,
    refundedCredits: byRefunds,
    disputedCredits: byDisputes,
  };
  const fields = Object.keys(change) as (keyof typeof change)[];
  if (fields.every((field) => payment[field] === change[field])) {
    // Makes every concurrent sync that read Stripe earlier, and saw something else, read it again.
    await tx.payments.update(payment.id, { version });
    return "done";
  }
  const own = await tx.grants.expiresAt(`payment:${payment.id}`);
  const expiresAt = extendExpiry(own, seen.nowMs);
  await tx.payments.update(payment.id, { ...change, version });
  const before = payment.refundedAmount + payment.creditedAmount + payment.disputedAmount;
  const after = totals.refunded + totals.credited + totals.disputed;
  if (after !== before) tx.noteMoney(before - after, payment.currency);
  await tx.applyToLedger(toMovements(payment, { byRefunds, byDisputes, expiresAt }));
  return "done";
}

/** The ledger operations that bring the credits taken back to the target. The version makes each key unique. */
function toMovements(
  payment: Payment,
  target: { byRefunds: number; byDisputes: number; expiresAt: Date | null },
): LedgerOperation[] {
  const version = payment.version + 1;
  const common = { userId: payment.userId, sourceId: payment.id };
  const take = (type: "REFUND" | "DISPUTE", amountCredits: number, description: string) => ({
    ...common,
    kind: "takeBack" as const,
    amountCredits,
    type,
    grantKey: `payment:${payment.id}`,
    idempotencyKey: scopedKey(
      type === "REFUND" ? "refund" : "dispute",
      String(version),
      payment.id,
    ),
    description,
  });
  const give = (
    source: "REFUND" | "DISPUTE_REVERSAL",
    amountCredits: number,
    description: string,
  ) => ({
    ...common,
    kind: "grant" as const,
    amountCredits,
    source,
    grantKey: `${source.toLowerCase()}:${payment.id}:${version}`,
    expiresAt: target.expiresAt,
    description,
  });
  const refundDelta = target.byRefunds - payment.refundedCredits;
  const disputeDelta = target.byDisputes - payment.disputedCredits;
  const operations: LedgerOperation[] = [];
  // Grants first, so that the take-backs can draw on them.
  if (refundDelta < 0) operations.push(give("REFUND", -refundDelta, "A refund failed"));
  if (disputeDelta < 0)
    operations.push(give("DISPUTE_REVERSAL", -disputeDelta, "A dispute was decided"));
  if (refundDelta > 0) operations.push(take("REFUND", refundDelta, "Refunded"));
  if (disputeDelta > 0) operations.push(take("DISPUTE", disputeDelta, "Disputed"));
  return operations;
}
