// What the lines of an invoice stand for in the catalog.
import type { StripeInvoice } from "../stripe/port.ts";
import type { Catalog } from "./catalog.ts";
import type { PaidLine } from "./invoice-credits.ts";

/** A line of an invoice and the plan its price stands for. */
export interface PlanLine extends PaidLine {
  readonly planId: string;
}

/**
 * Reads the lines of an invoice. Left out are those that give nothing: of prices that are not ours, and prorations of a
 * free price, whose used and unused time both say 0. A free plan gives its credits with its periods, not with switches.
 */
export async function readPaidLines(
  catalog: Pick<Catalog, "findPricedPlan">,
  invoice: Pick<StripeInvoice, "lines">,
): Promise<PlanLine[]> {
  const lines: PlanLine[] = [];
  for (const line of invoice.lines) {
    const { amount, priceId, quantity, proration, periodStart, periodEnd } = line;
    const priced = priceId === null ? null : await catalog.findPricedPlan(priceId);
    if (priced === null) continue;
    const { plan, price } = priced;
    if (proration && price.unitAmount <= 0) continue;
    lines.push({
      amount,
      unitAmount: price.unitAmount,
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
