// An independent calculation of what the money kept from a subscription buys: from Stripe's objects only, as one
// fraction, sharing no code with the server.
import type { CreditNote } from "../../server/sandbox/src/stripe/objects/types-credit.ts";
import type { Invoice } from "../../server/sandbox/src/stripe/objects/types-billing.ts";
import type { Dispute, Refund } from "../../server/sandbox/src/stripe/objects/types.ts";

/** The part of a plan that determines its credits. */
export interface OfferedPlan {
  readonly id: string;
  readonly credits: number;
  readonly interval: string | null;
}

/** The money returned for one payment, in minor units. */
export type MoneyBackAtStripe = ReturnType<typeof moneyBackAtStripe>;

/** Sums the objects: pending refunds count, failed ones do not; open and lost disputes hold the money back. */
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
    // The part of a credit note that was given as a refund is already among the refunds.
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

/** What a paid invoice buys: each line buys the share of its plan's credits that its amount is of the price. */
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
  // The customer balance may have paid a part, so shares are of the invoice's total.
  const share = given <= 0 ? 0 : Math.min(1, given / Math.max(invoice.total, invoice.amount_paid));
  return {
    /** The credits its lines buy before any money was returned; 0 if the invoice gives money back overall. */
    whole: top > 0n ? Number(top / bottom) : 0,
    /** The most that its lines sell, not counting those that give money back. */
    sold,
    /** The credits of one month of a yearly plan; 0 if it is not for a year. */
    monthly,
    /** What the money kept from it buys. */
    stays: worth <= 0 ? worth : worth * (1 - share),
  };
}
