// Credits taken back because later invoices credited unused time, over all of a subscription's payments together.
import { scopedKey } from "../../ledger/idempotency-key.ts";
import type { LedgerOperation } from "../../ledger/ports.ts";
import { scheduledGrantKey, scheduleGrants } from "../catalog/invoice-credits.ts";
import { creditsToReturn, decodeLines } from "../catalog/kept-credits.ts";
import type { Payment, Subscription } from "../payment.types.ts";
import type { PaymentTransaction } from "../ports.ts";
import type { SyncDeps, SyncEffect } from "./apply-sync.ts";
import { extendExpiry } from "./late-expiry.ts";

interface GrantedLot {
  readonly grantKey: string;
  readonly expiresAt: Date | null;
}

/** Settles what an invoice's subscription has to give back; applied last, after the invoice and its refunds. */
export function returnedCreditsEffect(
  { now }: Pick<SyncDeps, "now">,
  userId: string,
  invoiceId: string,
): SyncEffect {
  return {
    kind: "effect",
    userId,
    apply: async (tx) => {
      const payment = await tx.payments.find({ stripeInvoiceId: invoiceId });
      if (!payment?.subscriptionId) return "done";
      const subscription = await tx.subscriptions.find(payment.subscriptionId);
      if (subscription !== null) await writeReturnedCredits(tx, subscription, now());
      return "done";
    },
  };
}

async function writeReturnedCredits(
  tx: PaymentTransaction,
  subscription: Subscription,
  nowMs: number,
): Promise<void> {
  const payments = await tx.payments.paidOf(subscription);
  // Only an invoice that gives back more than it sells takes anything from the others.
  const gaveBack = payments.some(({ creditsWorth }) => (creditsWorth ?? 0) < 0);
  if (!gaveBack && subscription.returnedCredits === 0) return;
  const lots = await tx.grants.ofPayments(
    subscription.userId,
    payments.map(({ id }) => id),
  );
  const target = creditsToReturn(payments, lastGrantedMonth(payments, lots));
  if (target === subscription.returnedCredits) return;
  await tx.subscriptions.update(subscription.id, {
    returnedCredits: target,
    version: subscription.version + 1,
  });
  const lastLot = lots.at(-1);
  await tx.applyToLedger([
    toMovement(subscription, target, {
      grantKey: lastLot?.grantKey ?? "",
      expiresAt: extendExpiry(lastLot?.expiresAt ?? null, nowMs),
    }),
  ]);
}

/** The latest month granted for these payments; the Unix epoch when there is none. */
function lastGrantedMonth(payments: readonly Payment[], lots: readonly GrantedLot[]): Date {
  const keys = new Set(lots.map(({ grantKey }) => grantKey));
  const moments = payments.flatMap((payment) => {
    const stored = decodeLines(payment.invoiceLines);
    if (stored === null) return [];
    return scheduleGrants(stored.lines, stored.anchor)
      .filter((grant) => grant.index > 0 && keys.has(scheduledGrantKey(payment.id, grant)))
      .map(({ dueAt }) => dueAt.getTime());
  });
  return new Date(Math.max(0, ...moments));
}

/** The ledger operation that brings the returned credits to `target`. The version makes each key unique. */
function toMovement(
  { id, userId, returnedCredits, version }: Subscription,
  target: number,
  { grantKey, expiresAt }: GrantedLot,
): LedgerOperation {
  const delta = target - returnedCredits;
  const change = String(version + 1);
  if (delta > 0)
    return {
      kind: "takeBack",
      userId,
      amountCredits: delta,
      type: "REFUND",
      sourceId: id,
      grantKey,
      idempotencyKey: scopedKey("refund", change, "returned", id),
      description: "Unused time of a plan was given back",
    };
  return {
    kind: "grant",
    userId,
    amountCredits: -delta,
    source: "REFUND",
    sourceId: id,
    grantKey: `returned:${id}:${change}`,
    expiresAt,
    description: "Time of a plan that had been given back was paid for",
  };
}
