// Owns the months of yearly plans: each paid invoice is looked at again when its next month begins.
import type { Fulfilment } from "../sync/sync.ts";
import { addMonths, nextAnchored } from "../catalog/billing-months.ts";
import { isGranting } from "../sync/subscription.sync.ts";
import { lockUser } from "../../database/lock-user.ts";
import type { PaymentDeps } from "../sync/sync-transaction.ts";

const BATCH = 200;
/** Longer than a year: what the next month may still be owed from. */
const LOOK_BACK_MONTHS = 13;

/** Makes the job's work: grants what is due on yearly plans; answers how many grants were made. Safe to repeat. */
export function createMonthlyGrants(work: PaymentDeps, fulfilment: Fulfilment) {
  const { models } = work.database;

  async function grantOne(row: {
    id: string;
    userId: string;
    stripeSubscriptionId: string;
    nextGrantAt: Date | null;
  }): Promise<number> {
    const now = new Date(work.now());
    const payments = await models.payment.findMany({
      where: {
        subscriptionId: row.id,
        stripeInvoiceId: { not: null },
        paidAt: { not: null },
        createdAt: { gte: addMonths(row.nextGrantAt ?? now, -LOOK_BACK_MONTHS) },
      },
      select: { id: true, stripeInvoiceId: true },
      orderBy: { createdAt: "asc" },
    });
    const creditsOf = async () => {
      const ids = payments.map(({ id }) => id);
      const rows = await models.payment.findMany({
        where: { id: { in: ids } },
        select: { id: true, creditsPurchased: true },
      });
      return new Map(rows.map(({ id, creditsPurchased }) => [id, creditsPurchased]));
    };
    const before = await creditsOf();
    for (const { stripeInvoiceId } of payments)
      if (stripeInvoiceId !== null)
        await fulfilment.fulfil({ kind: "invoice", invoiceId: stripeInvoiceId });
    const subscription = await work.stripe.getSubscription(row.stripeSubscriptionId);
    // Past due: the months wait. The look stays due, so that recovery grants them.
    if (isGranting(subscription.status))
      await work.database.transaction(async (tx) => {
        await lockUser(tx, row.userId);
        await tx.models.subscription.updateMany({
          where: { id: row.id, nextGrantAt: row.nextGrantAt },
          data: { nextGrantAt: nextAnchored(subscription.billingAnchor, now) },
        });
      });
    const after = await creditsOf();
    return [...after].filter(([id, credits]) => credits > (before.get(id) ?? 0)).length;
  }

  return async function grantMonthly(): Promise<number> {
    let grants = 0;
    const dueAt = new Date(work.now());
    for (let after = ""; ; ) {
      const due = await models.subscription.findMany({
        where: { nextGrantAt: { lte: dueAt }, liveKey: { not: null }, id: { gt: after } },
        orderBy: { id: "asc" },
        take: BATCH,
      });
      for (const row of due) {
        try {
          grants += await grantOne(row);
        } catch (error) {
          // One subscriber's trouble is not the others'; it is due again next time.
          work.logger.error({ err: error, subscriptionId: row.id }, "monthly grant failed");
        }
      }
      const last = due.at(-1);
      if (last === undefined || due.length < BATCH) return grants;
      after = last.id;
    }
  };
}
