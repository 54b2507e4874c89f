// Owns the credits that go back because later invoices gave unused time back: the subscription's payments taken together.
import type { DatabaseTransaction, PrismaModels } from "../../database/ports.ts";
import { scopedKey } from "../../ledger/idempotency-key.ts";
import type { LedgerOperation } from "../../ledger/ports.ts";
import { sliceKey, slicesOf } from "../catalog/invoice-credits.ts";
import { creditsToReturn, decodeLines } from "../catalog/kept-credits.ts";
import type { PaymentDeps, SyncEffect } from "./sync-transaction.ts";

type PaymentRow = Awaited<ReturnType<PrismaModels["payment"]["findMany"]>>[number];
type SubscriptionRow = NonNullable<Awaited<ReturnType<PrismaModels["subscription"]["findUnique"]>>>;
type GrantRow = { readonly grantKey: string; readonly expiresAt: Date | null };

/** The last month of these payments that was granted; the beginning of time when none was. */
function lastGrantedMonth(payments: readonly PaymentRow[], grants: readonly GrantRow[]): Date {
  const keys = new Set(grants.map(({ grantKey }) => grantKey));
  const moments = payments.flatMap((payment) => {
    const stored = decodeLines(payment.invoiceLines);
    if (stored === null) return [];
    return slicesOf(stored.lines, stored.anchor)
      .filter((slice) => slice.index > 0 && keys.has(sliceKey(payment.id, slice)))
      .map(({ dueAt }) => dueAt.getTime());
  });
  return new Date(Math.max(0, ...moments));
}

/** The entry that brings what is returned to `target`. The version makes each key one of a kind. */
function movement(
  subscription: SubscriptionRow,
  target: number,
  found: { readonly lotKey: string; readonly expiresAt: Date | null },
): LedgerOperation {
  const delta = target - subscription.returnedCredits;
  const change = String(subscription.version + 1);
  if (delta > 0)
    return {
      kind: "takeBack",
      userId: subscription.userId,
      amountCredits: delta,
      type: "REFUND",
      sourceId: subscription.id,
      grantKey: found.lotKey,
      idempotencyKey: scopedKey("refund", change, "returned", subscription.id),
      description: "Unused time of a plan was given back",
    };
  return {
    kind: "grant",
    userId: subscription.userId,
    amountCredits: -delta,
    source: "REFUND",
    sourceId: subscription.id,
    grantKey: `returned:${subscription.id}:${change}`,
    expiresAt: found.expiresAt,
    description: "Time of a plan that had been given back was paid for",
  };
}

async function settle(
  work: PaymentDeps,
  tx: DatabaseTransaction,
  subscription: SubscriptionRow,
): Promise<void> {
  const payments = await tx.models.payment.findMany({
    where: { userId: subscription.userId, subscriptionId: subscription.id, paidAt: { not: null } },
    orderBy: [{ createdAt: "asc" }, { id: "asc" }],
  });
  // Only an invoice that gives back more than it sells takes anything of the others.
  const gaveBack = payments.some(({ creditsWorth }) => (creditsWorth ?? 0) < 0);
  if (!gaveBack && subscription.returnedCredits === 0) return;
  const grants = await tx.models.creditGrant.findMany({
    where: {
      userId: subscription.userId,
      source: "SUBSCRIPTION",
      sourceId: { in: payments.map(({ id }) => id) },
    },
    orderBy: [{ createdAt: "asc" }, { id: "asc" }],
    select: { grantKey: true, expiresAt: true },
  });
  const target = creditsToReturn(payments, lastGrantedMonth(payments, grants));
  if (target === subscription.returnedCredits) return;
  const last = grants.at(-1);
  await tx.models.subscription.update({
    where: { id: subscription.id },
    data: { returnedCredits: target, version: subscription.version + 1 },
  });
  await work.ledger.applyIn(tx, [
    movement(subscription, target, {
      lotKey: last?.grantKey ?? "",
      expiresAt: last?.expiresAt ?? null,
    }),
  ]);
}

/** Settles what an invoice's subscription has to give back; last, after the invoice and what came back of it. */
export function returnsEffect(work: PaymentDeps, userId: string, invoiceId: string): SyncEffect {
  return {
    kind: "effect",
    userId,
    apply: async (tx) => {
      const payment = await tx.models.payment.findUnique({
        where: { stripeInvoiceId: invoiceId },
        select: { subscriptionId: true },
      });
      if (!payment?.subscriptionId) return "done";
      const subscription = await tx.models.subscription.findUnique({
        where: { id: payment.subscriptionId },
      });
      if (subscription !== null) await settle(work, tx, subscription);
      return "done";
    },
  };
}
