// How many credits a subscription's payments may keep: what the money kept buys, never more (docs/decisions/0044).
import { z } from "zod";
import { billingInterval } from "../../../shared/src/payment.ts";
import { creditShare } from "../../ledger/model/refund-share.ts";
import { type PaidLine, scheduleNetCredits } from "./invoice-credits.ts";

const storedLines = z.object({
  anchor: z.iso.datetime().transform((text) => new Date(text)),
  lines: z.array(
    z.object({
      amount: z.int(),
      unitAmount: z.int(),
      interval: billingInterval,
      monthlyCredits: z.int(),
      quantity: z.int().min(1).default(1),
      periodStart: z.iso.datetime().transform((text) => new Date(text)),
      periodEnd: z.iso.datetime().transform((text) => new Date(text)),
    }),
  ),
});

/** An invoice's lines as they were when it was paid, and the date its months are counted from. */
export interface InvoiceLines {
  readonly anchor: Date;
  readonly lines: readonly PaidLine[];
}

/** Returns the lines in the form stored with a payment. */
export function encodeLines(invoice: InvoiceLines): string {
  return JSON.stringify(invoice);
}

/** Returns the lines stored with a payment; null when there are none. */
export function decodeLines(text: string | null): InvoiceLines | null {
  return text === null ? null : storedLines.parse(JSON.parse(text));
}

/** A payment's money and the credits that go with it. Amounts in minor units. */
export interface KeptPayment {
  readonly amount: number;
  readonly total: number | null;
  readonly creditsPurchased: number;
  readonly refundedAmount: number;
  readonly creditedAmount: number;
  readonly disputedAmount: number;
  readonly refundedCredits: number;
  readonly disputedCredits: number;
  readonly creditsWorth: number | null;
  readonly invoiceLines: string | null;
}

/**
 * Returns the amount that a payment's refunded shares relate to. A customer balance may have paid part of an invoice,
 * so this can exceed `amount`.
 */
export function totalPaid(payment: Pick<KeptPayment, "amount" | "total">): number {
  return Math.max(payment.amount, payment.total ?? 0);
}

/** Returns the credits to take back: the share of refunds and credit notes, and what disputes take beyond it. */
export function computeTakeBacks(
  payment: Pick<KeptPayment, "amount" | "total" | "creditsPurchased">,
  back: { readonly refunded: number; readonly credited: number; readonly disputed: number },
): { byRefunds: number; byDisputes: number } {
  const { creditsPurchased } = payment;
  const whole = totalPaid(payment);
  const byRefunds = creditShare(creditsPurchased, back.refunded + back.credited, whole);
  const inAll = creditShare(creditsPurchased, back.refunded + back.credited + back.disputed, whole);
  return { byRefunds, byDisputes: inAll - byRefunds };
}

/**
 * Returns the credits that a subscription's payments together must give back beyond their own shares,
 * because an invoice credited unused time: negative lines, which lower that invoice or become a customer
 * balance that pays later ones.
 *
 * The credits kept are the lesser of two sums over all payments: what is due by now (an invoice that gives back counts
 * negative), and what the money kept buys in all. `upTo` is the last month granted: a month that an invoice gives back
 * counts only once the month it offsets has been granted.
 */
export function creditsToReturn(payments: readonly KeptPayment[], upTo: Date): number {
  let given = 0;
  let due = 0;
  let bought = 0;
  for (const payment of payments) {
    const stored = decodeLines(payment.invoiceLines);
    const worth = payment.creditsWorth ?? payment.creditsPurchased;
    const left = payment.creditsPurchased - payment.refundedCredits - payment.disputedCredits;
    given += left;
    if (worth < 0 && stored !== null) {
      due += scheduleNetCredits(stored.lines, stored.anchor)
        .filter(({ index, dueAt }) => index === 0 || dueAt <= upTo)
        .reduce((sum, { credits }) => sum + credits, 0);
      bought += worth;
    } else {
      const back = payment.refundedAmount + payment.creditedAmount + payment.disputedAmount;
      due += left;
      bought += worth - creditShare(worth, back, totalPaid(payment));
    }
  }
  return Math.max(0, given - Math.min(due, bought));
}
