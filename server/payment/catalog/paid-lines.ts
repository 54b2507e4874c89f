// Maps the lines of an invoice to the catalog's plans.
import type { StripeInvoice, StripeInvoiceLine } from "../stripe/port.ts";
import type { Catalog } from "./catalog.ts";
import type { PaidLine } from "./invoice-credits.ts";

/** A line of an invoice and the plan its price belongs to. */
export interface PlanLine extends PaidLine {
  readonly planId: string;
}

/**
 * Returns the lines of an invoice that give credits. Lines at prices that are not ours are left out, and so
 * are prorations of a free price, whose used and unused time both cost 0: a free plan gives its credits per
 * period, not on a switch.
 * Also left out, and passed to `onSkipped`, are prorations and lines without a positive amount where the price states no
 * amount in the invoice's currency, because their share of the price cannot be known.
 */
export async function readPaidLines(
  catalog: Pick<Catalog, "findPricedPlan">,
  { currency, lines: billed }: Pick<StripeInvoice, "currency" | "lines">,
  onSkipped: (line: StripeInvoiceLine) => void = () => {},
): Promise<PlanLine[]> {
  const lines: PlanLine[] = [];
  for (const line of billed) {
    const { amount, priceId, quantity, proration, periodStart, periodEnd } = line;
    const priced = priceId === null ? null : await catalog.findPricedPlan(priceId, currency);
    if (priced === null) continue;
    const { plan, price } = priced;
    const unitAmount = price.amounts.get(currency) ?? wholeAmount(line);
    if (unitAmount === null) {
      onSkipped(line);
      continue;
    }
    if (proration && unitAmount <= 0) continue;
    lines.push({
      amount,
      unitAmount,
      interval: price.interval ?? plan.interval,
      monthlyCredits: plan.credits,
      quantity,
      periodStart,
      periodEnd,
      planId: plan.id,
    });
  }
  return lines;
}

/** The amount a price does not state, derived from a line that is not prorated: it covers a whole interval. */
function wholeAmount({ amount, quantity, proration }: StripeInvoiceLine): number | null {
  return proration || amount <= 0 ? null : Math.ceil(amount / quantity);
}
