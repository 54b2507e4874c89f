// Money that went back of one payment: refunds, credit notes and disputes, and the credits that go with them, either way.
import { scopedKey } from "../../ledger/idempotency-key.ts";
import type { LedgerOperation } from "../../ledger/ports.ts";
import { totalPaid, computeTakeBacks } from "../catalog/kept-credits.ts";
import type { Payment, PaymentKey } from "../payment.types.ts";
import type { PaymentTransaction } from "../ports.ts";
import { explainRefusal } from "../stripe/advice.ts";
import { isRefusal, refusalOf, unlessMissing } from "../stripe/errors.ts";
import type { StripeDispute, StripeInvoice, StripePort, StripeRefund } from "../stripe/port.ts";
import type { SyncDeps, SyncEffect } from "./apply-sync.ts";
import { lateExpiry } from "./late-expiry.ts";

/** How much money is back now. Minor units. */
export interface RefundTotals {
  readonly refunded: number;
  /** By credit notes other than as refunds: to the customer's balance, out of band, never asked for. */
  readonly credited: number;
  readonly disputed: number;
}

/** A payment whose money may have gone back. */
interface RefundedPayment {
  readonly key: PaymentKey;
  readonly userId: string;
  /** Several may pay one invoice. */
  readonly paymentIntentIds: readonly string[];
  /** Null when it is not an invoice's. */
  readonly invoice: Pick<StripeInvoice, "id" | "creditNotesAmount"> | null;
}

/** Whether a refund has arrived or may still; a failed or cancelled one has not. */
export function isOnItsWay({ status }: StripeRefund): boolean {
  return status !== "failed" && status !== "canceled";
}

/** Refunds on their way count; failed and cancelled ones do not. */
export function sumRefunds(refunds: readonly StripeRefund[]): number {
  return refunds.filter(isOnItsWay).reduce((sum, { amount }) => sum + amount, 0);
}

/** Open and lost disputes hold the money; won ones and inquiries (`warning_…`), which move none, do not. */
export function sumDisputes(disputes: readonly StripeDispute[]): number {
  return disputes
    .filter(
      ({ status }) => status !== "won" && status !== "prevented" && !status.startsWith("warning_"),
    )
    .reduce((sum, { amount }) => sum + amount, 0);
}

/** What the payment's history shows. */
export function statusAfter(
  payment: Pick<Payment, "amount" | "total">,
  totals: RefundTotals,
): string {
  if (totals.disputed > 0) return "DISPUTED";
  const back = totals.refunded + totals.credited;
  if (back <= 0) return "SUCCESS";
  return back >= totalPaid(payment) ? "REFUNDED" : "PARTIALLY_REFUNDED";
}

/** Reads what has gone back of a payment, which is settled by the caller first. */
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
 * The same where nothing says that any of it went back. Null where Stripe knows neither refunds nor disputes, as a stand-in
 * may not. What our key may not read counts as none until it is paid here: what is paid is granted all the same.
 */
export async function anyRefundsEffect(
  deps: SyncDeps,
  payment: RefundedPayment,
): Promise<(SyncEffect & { readonly totals: RefundTotals }) | null> {
  const whenForbidden = async (error: unknown): Promise<[]> => {
    const refusal = refusalOf(error);
    if (refusal?.refusal !== "forbidden") throw error;
    const known = await deps.store.payments.find(payment.key);
    // What came later has its own event, which waits for the permission.
    if (known !== null && known.paidAt !== null) throw error;
    deps.logger.error(
      { paymentIntentIds: payment.paymentIntentIds, advice: explainRefusal(refusal) },
      "granted without a look at what is back of it: the Stripe key may not read refunds, disputes or credit notes",
    );
    return [];
  };
  return unlessMissing(paymentRefundsEffect(deps, payment, whenForbidden), null);
}

/** Resolves to what stands for a list that was refused, or rejects with the error. */
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

/** One of the two lists may be unknown to a Stripe stand-in; a payment intent nobody knows is an error, not "nothing". */
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
  // Never paid as far as anybody knows: there is nothing to take back.
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
    // Whoever looked before this one, and saw something else, has to look again.
    await tx.payments.update(payment.id, { version });
    return "done";
  }
  const own = await tx.grants.expiresAt(`payment:${payment.id}`);
  const expiresAt = lateExpiry(own, seen.nowMs);
  await tx.payments.update(payment.id, { ...change, version });
  const before = payment.refundedAmount + payment.creditedAmount + payment.disputedAmount;
  const after = totals.refunded + totals.credited + totals.disputed;
  if (after !== before) tx.noteMoney(before - after, payment.currency);
  await tx.applyToLedger(toMovements(payment, { byRefunds, byDisputes, expiresAt }));
  return "done";
}

/** The entries that bring what is taken to where it should be. The version makes each key one of a kind. */
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
  // What comes back first, so that what goes can be taken of it.
  if (refundDelta < 0) operations.push(give("REFUND", -refundDelta, "A refund failed"));
  if (disputeDelta < 0)
    operations.push(give("DISPUTE_REVERSAL", -disputeDelta, "A dispute was decided"));
  if (refundDelta > 0) operations.push(take("REFUND", refundDelta, "Refunded"));
  if (disputeDelta > 0) operations.push(take("DISPUTE", disputeDelta, "Disputed"));
  return operations;
}
