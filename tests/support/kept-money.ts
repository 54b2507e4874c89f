// An account of its own of what a subscription's kept money buys: from Stripe's objects alone, in one fraction, sharing
// nothing with the server's reckoning.
import type { CreditNote } from "../../server/sandbox/src/stripe/objects/types-credit.ts";
import type { Invoice } from "../../server/sandbox/src/stripe/objects/types-billing.ts";
import type { Dispute, Refund } from "../../server/sandbox/src/stripe/objects/types.ts";

/** A plan as far as its credits go. */
export interface OfferedPlan {
  readonly id: string;
  readonly credits: number;
  readonly interval: string | null;
}

/** Money back of one payment. Minor units. */
export type MoneyBackAtStripe = ReturnType<typeof moneyBackAtStripe>;

/** Sums the objects up: pending refunds count, failed ones do not; open and lost disputes hold the money. */
export function moneyBackAtStripe({
  refunds,
  disputes,
  notes,
}: {
  readonly refunds: readonly Refund[];
  readonly disputes: readonly Dispute[];
  readonly notes: readonly CreditNote[];
}) {
  const sum = (amounts: number[]): number => amounts.reduce((all, amount) => all + amount, 0);
  return {
    refunded: sum(
      refunds
        .filter(({ status }) => status !== "failed" && status !== "canceled")
        .map(({ amount }) => amount),
    ),
    disputed: sum(
      disputes
        .filter(({ status }) => /^(needs_response|under_review|lost)$/.test(status))
        .map(({ amount }) => amount),
    ),
    // What a note gave as a refund is among the refunds.
    credited: sum(
      notes
        .filter(({ status }) => status === "issued")
        .map((note) => {
          const given = note.refunds as unknown as { amount_refunded: number }[];
          return note.amount - sum(given.map(({ amount_refunded }) => amount_refunded));
        }),
    ),
  };
}

/** What a paid invoice buys: each line the share of its plan that its money is of the price. */
export function invoiceWorth(
  invoice: Pick<Invoice, "lines" | "total" | "amount_paid">,
  plans: ReadonlyMap<string, OfferedPlan>,
  back: MoneyBackAtStripe,
) {
  let [top, bottom] = [0n, 1n];
  let sold = 0;
  let monthly = 0;
  for (const line of invoice.lines.data) {
    const { pricing } = line as unknown as {
      pricing: { price_details: { product: string }; unit_amount_decimal: string };
    };
    const plan = plans.get(pricing.price_details.product.replace("skywork_plan_", ""));
    if (plan === undefined) continue;
    const isYear = plan.interval === "year";
    if (isYear) monthly = plan.credits * line.quantity;
    const unit = BigInt(pricing.unit_amount_decimal);
    const credits = BigInt(line.amount) * BigInt(plan.credits * (isYear ? 12 : 1));
    if (credits > 0n) sold += Number(credits / unit) + 1;
    top = top * unit + credits * bottom;
    bottom *= unit;
  }
  const worth = Number(top) / Number(bottom);
  const given = back.refunded + back.credited + back.disputed;
  // A customer balance may have paid a part: shares are of the invoice's total.
  const share = given <= 0 ? 0 : Math.min(1, given / Math.max(invoice.total, invoice.amount_paid));
  return {
    /** The credits its lines buy, before anything went back; none where it gives back. */
    whole: top > 0n ? Number(top / bottom) : 0,
    /** The most that its lines sell, without those that give back. */
    sold,
    /** The credits of a month of its year; 0: it is of no year. */
    monthly,
    /** What the money that stayed of it buys. */
    stays: worth <= 0 ? worth : worth * (1 - share),
  };
}
