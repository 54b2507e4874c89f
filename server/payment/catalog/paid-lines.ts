// What the lines of an invoice stand for in the catalog.
import type { StripeInvoice } from "../stripe/port.ts";
import type { Catalog } from "./catalog.ts";
import type { PaidLine } from "./invoice-credits.ts";

/** A line of an invoice and the plan its price stands for. */
export interface PlanLine extends PaidLine {
  readonly planId: string;
}

/** Reads the lines of an invoice; those of prices that are not ours give nothing and are left out. */
export async function readPaidLines(
  catalog: Catalog,
  invoice: Pick<StripeInvoice, "lines">,
): Promise<PlanLine[]> {
  const lines: PlanLine[] = [];
  for (const { amount, priceId, quantity, periodStart, periodEnd } of invoice.lines) {
    const priced = priceId === null ? null : await catalog.findPricedPlan(priceId);
    if (priced === null) continue;
    const { plan, price } = priced;
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
