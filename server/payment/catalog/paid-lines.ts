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
    const unitAmount = price.amounts.get(currency) ?? (isWhole(line) ? 0 : null);
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

/** Whether a line covers a whole interval, so that, as for a free price, no amount is needed to know its share. */
function isWhole({ amount, proration }: StripeInvoiceLine): boolean {
  return !proration && amount > 0;
}
