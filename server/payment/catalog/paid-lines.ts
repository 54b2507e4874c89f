// What the lines of an invoice stand for in the catalog.
import type { StripeInvoice, StripeInvoiceLine } from "../stripe/port.ts";
import type { Catalog } from "./catalog.ts";
import type { PaidLine } from "./invoice-credits.ts";

/** A line of an invoice and the plan its price stands for. */
export interface PlanLine extends PaidLine {
  readonly planId: string;
}

/**
 * Reads the lines of an invoice. Left out are those that give nothing: of prices that are not ours, and prorations of a
 * free price, whose used and unused time both say 0. A free plan gives its credits with its periods, not with switches.
 * So are prorations in a currency that the price is not sold in any more, of which nobody can say what share of it they
 * are: `leaveOut` hears of them.
 */
export async function readPaidLines(
  catalog: Pick<Catalog, "findPricedPlan">,
  { currency, lines: billed }: Pick<StripeInvoice, "currency" | "lines">,
  leaveOut: (line: StripeInvoiceLine) => void = () => {},
): Promise<PlanLine[]> {
  const lines: PlanLine[] = [];
  for (const line of billed) {
    const { amount, priceId, quantity, proration, periodStart, periodEnd } = line;
    const priced = priceId === null ? null : await catalog.findPricedPlan(priceId, currency);
    if (priced === null) continue;
    const { plan, price } = priced;
    const unitAmount = price.amounts.get(currency) ?? wholeAmount(line);
    if (unitAmount === null) {
      leaveOut(line);
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

/** What a price cost in a currency it does not name any more: a line that is not prorated is for a whole interval. */
function wholeAmount({ amount, quantity, proration }: StripeInvoiceLine): number | null {
  return proration || amount <= 0 ? null : Math.ceil(amount / quantity);
}
