// The invoices API: read, list, lines, pay, void, preview, and invoice payments.
import type { Call, Route } from "../api/route.ts";
import { balanceShare, customerOf, makeLines, voidInvoice } from "./invoicing.ts";
import { createdRange, page } from "../api/lists.ts";
import { pendingOf } from "./pending.ts";
import { periodAt } from "../state/period.ts";
import { renewalPhase } from "../billing/phases.ts";
import { type LineDraft, newInvoice } from "../objects/new-invoice.ts";
import { collect, currentPeriod, periodLine, recurringOf } from "../billing/subscribing.ts";
import { PRORATION_BEHAVIORS } from "../billing/subscriptions.ts";
import type { Customer, Json } from "../objects/types.ts";
import type { Invoice, Subscription } from "../objects/types-billing.ts";
import { type ItemChange, planChange, readItems } from "../billing/updating.ts";
import { apiError, badParam } from "../api/wire.ts";
import { need, type World } from "../state/world.ts";

function listInvoices({ world, fields }: Call): Json {
  const customer = fields.text("customer");
  const subscription = fields.text("subscription");
  const status = fields.text("status");
  const created = createdRange(fields);
  fields.ignore("collection_method");
  const keep = (it: Invoice): boolean =>
    (customer === undefined || it.customer === customer) &&
    (subscription === undefined || it.parent.subscription_details.subscription === subscription) &&
    (status === undefined || it.status === status) &&
    created(it.created);
  const out = page(fields, "/v1/invoices", world.tables.invoices.values(), keep);
  fields.done();
  return { ...out };
}

function payInvoice({ world, ids, fields }: Call): Json {
  const invoice = need(world.tables.invoices, "invoice", ids[0] ?? "");
  fields.ignore("off_session", "payment_method", "source", "forgive");
  fields.done();
  if (invoice.status === "paid") {
    throw apiError({
      status: 400,
      type: "invalid_request_error",
      code: "invoice_already_paid",
      message: "Invoice is already paid",
    });
  }
  if (invoice.status !== "open" && invoice.status !== "draft") {
    throw apiError({
      status: 400,
      type: "invalid_request_error",
      code: "invoice_not_editable",
      message: `This invoice is ${invoice.status} and cannot be paid.`,
    });
  }
  if (!collect(world, invoice)) {
    throw apiError({
      status: 402,
      type: "card_error",
      code: "card_declined",
      declineCode: "generic_decline",
      message: "Your card was declined.",
    });
  }
  return invoice;
}

function noUpcoming() {
  return apiError({
    status: 404,
    type: "invalid_request_error",
    code: "invoice_upcoming_none",
    message: "No upcoming invoices for customer",
  });
}

/** The subscription to preview. Throws 400 without one or for another customer's, 404 for a canceled one. */
function previewed(
  world: World,
  subscriptionId: string | undefined,
  customerId: string | undefined,
): { subscription: Subscription; customer: Customer } {
  if (subscriptionId === undefined) {
    throw badParam(
      "The sandbox previews invoices of an existing subscription: pass `subscription`.",
      "subscription",
      "parameter_missing",
    );
  }
  const subscription = need(
    world.tables.subscriptions,
    "subscription",
    subscriptionId,
    "subscription",
  );
  if (subscription.status === "canceled") {
    throw noUpcoming();
  }
  const customer = customerOf(world, subscription);
  if (customerId !== undefined && customerId !== customer.id) {
    throw badParam(
      "The subscription does not belong to this customer.",
      "customer",
      "resource_missing",
    );
  }
  return { subscription, customer };
}

/**
 * What the next invoice charges besides what is pending: the planned change's prorations and the next period, unless the
 * subscription ends before. Throws 404 if there is nothing to invoice.
 */
function upcomingDrafts(world: World, subscription: Subscription, plan: ItemChange): LineDraft[] {
  const { end } = currentPeriod(subscription);
  if (subscription.cancel_at !== null && subscription.cancel_at <= end) {
    if (plan.drafts.length + pendingOf(world, subscription).length === 0) throw noUpcoming();
    return plan.drafts;
  }
  const scheduled = renewalPhase(world, subscription, end);
  const items = scheduled?.items ?? plan.items;
  const next = periodAt(
    scheduled?.anchor ?? subscription.billing_cycle_anchor,
    items[0]?.price.recurring ?? recurringOf(subscription),
    end,
  );
  return [...plan.drafts, ...items.map((item) => periodLine(world, item, next.start, next.end))];
}

/** `POST /v1/invoices/create_preview` for a subscription, with or without a change of items. Stores nothing. */
function preview({ world, fields }: Call): Json {
  const customerId = fields.text("customer");
  const subscriptionId = fields.text("subscription");
  const details = fields.map("subscription_details");
  const wishes = details === undefined ? [] : readItems(details);
  const behavior = details?.oneOf("proration_behavior", PRORATION_BEHAVIORS) ?? "create_prorations";
  const prorationDate = details?.int("proration_date");
  const resetAnchor = details?.text("billing_cycle_anchor") === "now";
  details?.ignore("cancel_at_period_end", "cancel_at", "cancel_now");
  fields.ignore("preview_mode", "automatic_tax", "currency");
  fields.done();
  const { subscription, customer } = previewed(world, subscriptionId, customerId);
  const plan = planChange(world, subscription, { wishes, behavior, prorationDate, resetAnchor });
  const id = `upcoming_${world.newId("in")}`;
  const period = currentPeriod(subscription);
  const at = plan.invoiceNow
    ? world.billingNow()
    : Math.min(period.end, subscription.cancel_at ?? period.end);
  const drafts = plan.invoiceNow ? plan.drafts : upcomingDrafts(world, subscription, plan);
  const waiting = pendingOf(world, subscription);
  const lines = [...waiting.map((line) => structuredClone(line)), ...makeLines(world, id, drafts)];
  const invoice = newInvoice(id, at, {
    customer,
    subscription,
    reason: plan.invoiceNow ? "subscription_update" : "upcoming",
    lines,
    periodStart: period.start,
    periodEnd: period.end,
    discount: 0,
  });
  const applied = balanceShare(customer.balance, invoice.total);
  invoice.starting_balance = customer.balance;
  invoice.ending_balance = customer.balance + applied;
  invoice.amount_due = Math.max(0, invoice.total - applied);
  invoice.amount_remaining = invoice.amount_due;
  invoice.next_payment_attempt = at + (plan.invoiceNow ? 0 : 3600);
  const parent = invoice.parent.subscription_details;
  return {
    ...invoice,
    parent: {
      ...invoice.parent,
      subscription_details: plan.changed
        ? { ...parent, subscription_proration_date: prorationDate ?? world.billingNow() }
        : parent,
    },
  };
}

/** Routes of this file. */
export const invoiceRoutes: Route[] = [
  { method: "GET", path: "/v1/invoices", handle: listInvoices },
  { method: "POST", path: "/v1/invoices/create_preview", handle: preview },
  {
    method: "GET",
    path: "/v1/invoices/:id",
    handle: ({ world, ids }) => need(world.tables.invoices, "invoice", ids[0] ?? ""),
  },
  {
    method: "GET",
    path: "/v1/invoices/:id/lines",
    handle: ({ world, ids, fields }) => {
      const invoice = need(world.tables.invoices, "invoice", ids[0] ?? "");
      return {
        ...page(
          fields,
          `/v1/invoices/${invoice.id}/lines`,
          [...invoice.lines.data].reverse(),
          () => true,
        ),
      };
    },
  },
  { method: "POST", path: "/v1/invoices/:id/pay", handle: payInvoice },
  {
    method: "POST",
    path: "/v1/invoices/:id/void",
    handle: ({ world, ids, fields }) => {
      fields.done();
      const invoice = need(world.tables.invoices, "invoice", ids[0] ?? "");
      if (invoice.status !== "open")
        throw badParam("You can only void open invoices.", "id", "invoice_not_editable");
      voidInvoice(world, invoice);
      return invoice;
    },
  },
  {
    method: "GET",
    path: "/v1/invoice_payments",
    handle: ({ world, fields }) => {
      const invoice = fields.text("invoice");
      const status = fields.text("status");
      const payment = fields.map("payment");
      payment?.ignore("type");
      const intent = payment?.text("payment_intent");
      const created = createdRange(fields);
      const out = page(
        fields,
        "/v1/invoice_payments",
        world.tables.invoicePayments.values(),
        (it) =>
          (invoice === undefined || it.invoice === invoice) &&
          (status === undefined || it.status === status) &&
          (intent === undefined || it.payment.payment_intent === intent) &&
          created(it.created),
      );
      fields.done();
      return { ...out };
    },
  },
  {
    method: "GET",
    path: "/v1/invoice_payments/:id",
    handle: ({ world, ids }) => need(world.tables.invoicePayments, "invoice_payment", ids[0] ?? ""),
  },
];
