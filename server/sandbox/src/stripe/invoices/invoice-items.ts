// The invoice items API: one-off charges and credits that wait for the next invoice.
import type { Call, Route } from "../api/route.ts";
import { createdRange, page } from "../api/lists.ts";
import { addPending, dropItem } from "./pending.ts";
import { refuseMixedCurrency } from "../catalog/prices.ts";
import { newManualLine } from "../objects/new-invoice.ts";
import type { Json } from "../objects/types.ts";
import { badParam, mergeMetadata } from "../api/wire.ts";
import { need } from "../state/world.ts";

function create({ world, fields }: Call): Json {
  const customer = need(
    world.tables.customers,
    "customer",
    fields.needText("customer"),
    "customer",
  );
  const subscriptionId = fields.text("subscription");
  const subscription =
    subscriptionId === undefined
      ? undefined
      : need(world.tables.subscriptions, "subscription", subscriptionId, "subscription");
  const priceId = fields.map("pricing")?.text("price");
  const price =
    priceId === undefined
      ? undefined
      : need(world.tables.prices, "price", priceId, "pricing[price]");
  const quantity = fields.int("quantity") ?? 1;
  const amount = fields.int("amount");
  const currency = fields.text("currency")?.toLowerCase() ?? price?.currency ?? customer.currency;
  const description = fields.text("description") || null;
  const metadata = mergeMetadata({}, fields.metadata());
  fields.ignore("period", "discountable", "discounts", "tax_rates", "tax_behavior", "invoice");
  fields.done();
  const sum = amount ?? (price === undefined ? undefined : price.unit_amount * quantity);
  if (sum === undefined || !currency)
    throw badParam("Missing required param: amount.", "amount", "parameter_missing");
  refuseMixedCurrency(world, customer.id, currency);
  const line = newManualLine(world.newId("il"), world.newId("ii"), {
    amount: sum,
    currency,
    description,
    metadata,
    now: world.billingNow(),
    quantity,
    price: price ?? null,
    subscription: subscription?.id ?? null,
  });
  const [item] = addPending(world, customer, subscription ?? customer, [line]);
  if (item === undefined) throw new Error("no invoice item");
  customer.currency = customer.currency ?? currency;
  return item;
}

/** Routes of this file. */
export const invoiceItemRoutes: Route[] = [
  { method: "POST", path: "/v1/invoiceitems", handle: create },
  {
    method: "GET",
    path: "/v1/invoiceitems",
    handle: ({ world, fields }) => {
      const customer = fields.text("customer");
      const pending = fields.bool("pending");
      const invoice = fields.text("invoice");
      const created = createdRange(fields);
      const out = page(
        fields,
        "/v1/invoiceitems",
        world.tables.invoiceItems.values(),
        (it) =>
          (customer === undefined || it.customer === customer) &&
          (pending === undefined || (it.invoice === null) === pending) &&
          (invoice === undefined || it.invoice === invoice) &&
          created(it.date),
      );
      fields.done();
      return { ...out };
    },
  },
  {
    method: "GET",
    path: "/v1/invoiceitems/:id",
    handle: ({ world, ids }) => need(world.tables.invoiceItems, "invoiceitem", ids[0] ?? ""),
  },
  {
    method: "DELETE",
    path: "/v1/invoiceitems/:id",
    handle: ({ world, ids }) => {
      const item = need(world.tables.invoiceItems, "invoiceitem", ids[0] ?? "");
      if (item.invoice !== null) {
        throw badParam(
          "You cannot delete an invoice item that is attached to an invoice that is no longer editable.",
          "id",
          "invoice_not_editable",
        );
      }
      dropItem(world, item);
      return { id: item.id, object: "invoiceitem", deleted: true };
    },
  },
];
