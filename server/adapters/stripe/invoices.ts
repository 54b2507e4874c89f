// Invoices, their payments and their credit notes.
import { listAll, type StripeCall, unixSeconds } from "./client.ts";
import {
  hasMoreLines,
  readCreditNote,
  readInvoice,
  readInvoicePayment,
  readLine,
  readList,
} from "./parse.ts";

export const getInvoice: StripeCall<"getInvoice"> = async (client, invoiceId) => {
  const { invoice, more } = await client.call(
    "invoices.retrieve",
    (options) => client.sdk.invoices.retrieve(invoiceId, {}, options),
    (answer) => ({ invoice: readInvoice(answer), more: hasMoreLines(answer) }),
  );
  if (!more) return invoice;
  // Only ten lines come with an invoice; credits are computed from all of them.
  const lines = await listAll(client, {
    name: "invoices.listLineItems",
    run: (page, options) => client.sdk.invoices.listLineItems(invoiceId, page, options),
    read: readLine,
  });
  return { ...invoice, lines };
};

export const listInvoices: StripeCall<"listInvoices"> = (client, filter) =>
  listAll(client, {
    name: "invoices.list",
    run: (page, options) =>
      client.sdk.invoices.list(
        {
          ...(filter.customerId === undefined ? {} : { customer: filter.customerId }),
          ...(filter.status === undefined ? {} : { status: filter.status }),
          ...(filter.createdSince === undefined
            ? {}
            : { created: { gte: unixSeconds(filter.createdSince) } }),
          ...page,
        },
        options,
      ),
    read: readInvoice,
    after: filter.after,
    max: filter.limit,
  });

export const listInvoicePayments: StripeCall<"listInvoicePayments"> = async (client, invoiceId) => {
  const payments = await listAll(client, {
    name: "invoicePayments.list",
    run: (page, options) =>
      client.sdk.invoicePayments.list({ invoice: invoiceId, ...page }, options),
    read: readInvoicePayment,
  });
  const paid = payments.filter(({ status }) => status === "paid");
  return (paid.length > 0 ? paid : payments.slice(0, 1)).flatMap(
    ({ paymentIntentId, amountPaid }) =>
      paymentIntentId === null ? [] : [{ paymentIntentId, amountPaid }],
  );
};

export const findInvoiceByPaymentIntent: StripeCall<"findInvoiceByPaymentIntent"> = (
  { sdk, call },
  paymentIntentId,
) =>
  call(
    "invoicePayments.list",
    (options) =>
      sdk.invoicePayments.list(
        { payment: { type: "payment_intent", payment_intent: paymentIntentId }, limit: 1 },
        options,
      ),
    (answer) => readList(answer, readInvoicePayment).items[0]?.invoiceId ?? null,
  );

export const listCreditNotes: StripeCall<"listCreditNotes"> = async (client, invoiceId) => {
  const notes = await listAll(client, {
    name: "creditNotes.list",
    run: (page, options) => client.sdk.creditNotes.list({ invoice: invoiceId, ...page }, options),
    read: readCreditNote,
  });
  return notes.filter(({ isIssued }) => isIssued);
};

export const getCreditNote: StripeCall<"getCreditNote"> = ({ sdk, call }, creditNoteId) =>
  call(
    "creditNotes.retrieve",
    (options) => sdk.creditNotes.retrieve(creditNoteId, {}, options),
    readCreditNote,
  );
