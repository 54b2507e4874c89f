// How many credits a subscription's payments may keep: what the money that stayed buys, never more (docs/decisions/0044).
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

/** An invoice's lines as they were when it was paid, and the day its months are counted from. */
export interface InvoiceLines {
  readonly anchor: Date;
  readonly lines: readonly PaidLine[];
}

/** The lines as a payment keeps them. */
export function encodeLines(invoice: InvoiceLines): string {
  return JSON.stringify(invoice);
}

/** The lines a payment keeps; null for one that keeps none. */
export function decodeLines(text: string | null): InvoiceLines | null {
  return text === null ? null : storedLines.parse(JSON.parse(text));
}

/** A payment as far as the money and the credits that went with it. Money in minor units. */
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

/** What a payment's shares are shares of: a customer balance may have paid a part of an invoice. */
export function totalPaid(payment: Pick<KeptPayment, "amount" | "total">): number {
  return Math.max(payment.amount, payment.total ?? 0);
}

/** What should be taken of a payment's credits: by refunds and credit notes their share, by disputes theirs of the rest. */
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
 * The credits that a subscription's payments together have to give back beyond their own shares, because an invoice gave
 * unused time back: negative lines, turned into a smaller invoice or a customer balance that pays later ones.
 *
 * Kept is the lesser of two sums over all payments: what is due by now (an invoice that gives back counting negative),
 * and what the money that stayed buys in all. `upTo` is the last month granted: the months an invoice gives back go
 * with the months they take the place of.
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
