// A user's invoices, as Stripe keeps them.
import type { CheckoutDeps } from "../checkout/open-checkout.ts";
import type { PaymentOutput } from "../payment.types.ts";
import { unlessMissing } from "../stripe/errors.ts";

const MAX_INVOICES = 100;

/** The latest invoices, newest first. Throws PAYMENT_PROVIDER_ERROR. */
export async function listInvoices(
  { stripe, customers }: Pick<CheckoutDeps, "stripe" | "customers">,
  userId: string,
): Promise<PaymentOutput<"invoices">> {
  const customerId = await customers.find(userId);
  if (customerId === null) return { invoices: [] };
  const invoices = await unlessMissing(
    stripe.listInvoices({ customerId, limit: MAX_INVOICES }),
    [],
  );
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
