// A user's invoices, as Stripe keeps them.
import type { CheckoutDeps } from "../checkout/open-checkout.ts";
import type { PaymentOutput } from "../payment.types.ts";
import { unlessMissing } from "../stripe/errors.ts";

const MAX_INVOICES = 100;
/** A customer is recreated only when the former one was deleted at Stripe. Each one costs a request. */
const MAX_FORMER_CUSTOMERS = 5;

/**
 * Returns the latest invoices, newest first: those of the user's customer, and of former ones deleted at Stripe, which
 * keeps their invoices. Throws PAYMENT_PROVIDER_ERROR.
 */
export async function listInvoices(
  { store, stripe, customers }: Pick<CheckoutDeps, "store" | "stripe" | "customers">,
  userId: string,
): Promise<PaymentOutput<"invoices">> {
  const current = await customers.find(userId);
  // One more, because the current customer is usually among them.
  const subscribed = await store.subscriptions.customersOf(userId, MAX_FORMER_CUSTOMERS + 1);
  const customerIds = new Set([...(current === null ? [] : [current]), ...subscribed]);
  const lists = await Promise.all(
    [...customerIds].map((customerId) =>
      unlessMissing(stripe.listInvoices({ customerId, limit: MAX_INVOICES }), []),
    ),
  );
  const invoices = lists
    .flat()
    .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime())
    .slice(0, MAX_INVOICES);
  return {
    invoices: invoices.map((invoice) => ({
      id: invoice.id,
      number: invoice.number,
      status: invoice.status,
      amountDue: invoice.amountDue,
      amountPaid: invoice.amountPaid,
      currency: invoice.currency,
      createdAt: invoice.createdAt.toISOString(),
      hostedInvoiceUrl: invoice.hostedInvoiceUrl,
    })),
  };
}
