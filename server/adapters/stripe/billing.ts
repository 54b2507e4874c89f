// Owns the adapter's half about subscriptions and invoices.
import type Stripe from "stripe";
import type { StripePort, StripeSubscription } from "../../payment/stripe/port.ts";
import { isRefusal } from "../../payment/stripe/errors.ts";
import type { Asking } from "./caller.ts";
import {
  hasMoreLines,
  readCreditNote,
  readInvoice,
  readInvoicePayment,
  readLine,
  readList,
  readSubscription,
} from "./parse.ts";

type Billing = Pick<
  StripePort,
  | "getSubscription"
  | "listSubscriptions"
  | "setCancellation"
  | "listCreditNotes"
  | "getCreditNote"
  | "cancelSubscription"
  | "changePrice"
  | "previewPriceChange"
  | "getInvoice"
  | "listInvoices"
  | "findInvoicePaymentIntent"
  | "findInvoiceByPaymentIntent"
>;

/** Subscriptions and invoices over the SDK. */
export function createBilling(stripe: Stripe, { call, write, listAll }: Asking): Billing {
  const getSubscription = (subscriptionId: string) =>
    call(
      "subscriptions.retrieve",
      (options) => stripe.subscriptions.retrieve(subscriptionId, {}, options),
      readSubscription,
    );
  const hasEnded = (subscription: StripeSubscription): boolean =>
    subscription.endedAt !== null || subscription.status === "canceled";
  /** The subscription as it is now, if it is what a write wanted it to be. */
  const findSubscription = async (
    subscriptionId: string,
    isDone: (subscription: StripeSubscription) => boolean,
  ): Promise<StripeSubscription | null> => {
    const now = await getSubscription(subscriptionId);
    return isDone(now) ? now : null;
  };

  return {
    getSubscription,
    listSubscriptions: (customerId) =>
      listAll(
        "subscriptions.list",
        (page, options) => stripe.subscriptions.list({ customer: customerId, ...page }, options),
        readSubscription,
      ),
    setCancellation: (subscriptionId, change, key) =>
      write({
        name: "subscriptions.update",
        key,
        run: (options) =>
          stripe.subscriptions.update(
            subscriptionId,
            // Stripe takes one of the two at a time; an end at the period's end takes the place of any date.
            change === "clearDate"
              ? { cancel_at: "" }
              : { cancel_at_period_end: change === "atPeriodEnd" },
            options,
          ),
        read: readSubscription,
        find: () =>
          findSubscription(subscriptionId, (now) =>
            change === "clearDate"
              ? now.cancelAt === null
              : now.cancelAtPeriodEnd === (change === "atPeriodEnd"),
          ),
      }),
    cancelSubscription: async (subscriptionId, key) => {
      try {
        return await write({
          name: "subscriptions.cancel",
          key,
          run: (options) =>
            stripe.subscriptions.cancel(
              subscriptionId,
              { prorate: false, invoice_now: false },
              options,
            ),
          read: readSubscription,
          find: () => findSubscription(subscriptionId, hasEnded),
        });
      } catch (error) {
        // Stripe answers 404 or 400 when it had ended before: the current object says so.
        if (!isRefusal(error, "missing") && !isRefusal(error, "invalid")) throw error;
        const now = await findSubscription(subscriptionId, hasEnded);
        if (now === null) throw error;
        return now;
      }
    },
    changePrice: (input, key) =>
      write({
        name: "subscriptions.update",
        key,
        run: (options) =>
          stripe.subscriptions.update(
            input.subscriptionId,
            {
              items: [{ id: input.itemId, price: input.priceId }],
              proration_behavior: "always_invoice",
              proration_date: Math.floor(input.prorationDate.getTime() / 1000),
              payment_behavior: "error_if_incomplete",
            },
            options,
          ),
        read: readSubscription,
        find: () =>
          findSubscription(input.subscriptionId, (now) =>
            now.items.some(({ id, priceId }) => id === input.itemId && priceId === input.priceId),
          ),
      }),
    previewPriceChange: (input) =>
      call(
        "invoices.createPreview",
        (options) =>
          stripe.invoices.createPreview(
            {
              customer: input.customerId,
              subscription: input.subscriptionId,
              subscription_details: {
                items: [{ id: input.itemId, price: input.priceId }],
                proration_behavior: "always_invoice",
                ...(input.prorationDate === undefined
                  ? {}
                  : { proration_date: Math.floor(input.prorationDate.getTime() / 1000) }),
              },
            },
            options,
          ),
        readInvoice,
      ),

    listCreditNotes: async (invoiceId) => {
      const notes = await listAll(
        "creditNotes.list",
        (page, options) => stripe.creditNotes.list({ invoice: invoiceId, ...page }, options),
        readCreditNote,
      );
      return notes.filter(({ isIssued }) => isIssued);
    },
    getCreditNote: (creditNoteId) =>
      call(
        "creditNotes.retrieve",
        (options) => stripe.creditNotes.retrieve(creditNoteId, {}, options),
        readCreditNote,
      ),

    getInvoice: async (invoiceId) => {
      const { invoice, more } = await call(
        "invoices.retrieve",
        (options) => stripe.invoices.retrieve(invoiceId, {}, options),
        (answer) => ({ invoice: readInvoice(answer), more: hasMoreLines(answer) }),
      );
      if (!more) return invoice;
      // Ten lines come with an invoice; credits are counted over all of them.
      const lines = await listAll(
        "invoices.listLineItems",
        (page, options) => stripe.invoices.listLineItems(invoiceId, page, options),
        readLine,
      );
      return { ...invoice, lines };
    },
    listInvoices: (filter) =>
      listAll(
        "invoices.list",
        (page, options) =>
          stripe.invoices.list(
            {
              ...(filter.customerId === undefined ? {} : { customer: filter.customerId }),
              ...(filter.status === undefined ? {} : { status: filter.status }),
              ...(filter.createdSince === undefined
                ? {}
                : { created: { gte: Math.floor(filter.createdSince.getTime() / 1000) } }),
              ...page,
            },
            options,
          ),
        readInvoice,
        filter.limit,
      ),
    findInvoicePaymentIntent: (invoiceId) =>
      call(
        "invoicePayments.list",
        (options) => stripe.invoicePayments.list({ invoice: invoiceId, limit: 10 }, options),
        (answer) => {
          const payments = readList(answer, readInvoicePayment).items;
          const paid = payments.find((payment) => payment.status === "paid") ?? payments[0];
          return paid?.paymentIntentId ?? null;
        },
      ),
    findInvoiceByPaymentIntent: (paymentIntentId) =>
      call(
        "invoicePayments.list",
        (options) =>
          stripe.invoicePayments.list(
            { payment: { type: "payment_intent", payment_intent: paymentIntentId }, limit: 1 },
            options,
          ),
        (answer) => readList(answer, readInvoicePayment).items[0]?.invoiceId ?? null,
      ),
  };
}
