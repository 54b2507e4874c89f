// Pending invoice items: prorations and one-off charges waiting for a subscription's or customer's next invoice.
import type { Customer } from "../objects/types.ts";
import type { InvoiceLine, Subscription } from "../objects/types-billing.ts";
import type { InvoiceItem } from "../objects/types-credit.ts";
import type { World } from "../state/world.ts";

/** The id of the invoice item behind a line. */
function itemIdOf(line: InvoiceLine): string | null {
  return (
    line.parent.subscription_item_details?.invoice_item ??
    line.parent.invoice_item_details?.invoice_item ??
    null
  );
}

function itemOf(id: string, now: number, customer: Customer, line: InvoiceLine): InvoiceItem {
  const ofItem = line.parent.subscription_item_details;
  const subscription = ofItem?.subscription ?? line.parent.invoice_item_details?.subscription;
  return {
    id,
    object: "invoiceitem",
    amount: line.amount,
    currency: line.currency,
    customer: customer.id,
    customer_account: null,
    date: now,
    description: line.description,
    discountable: line.discountable,
    discounts: [],
    invoice: null,
    livemode: false,
    metadata: line.metadata as { [key: string]: string },
    net_amount: line.amount,
    parent: subscription
      ? {
          subscription_details: {
            subscription,
            ...(ofItem ? { subscription_item: ofItem.subscription_item } : {}),
          },
          type: "subscription_details",
        }
      : null,
    period: line.period,
    pricing: line.pricing,
    proration: ofItem?.proration ?? false,
    quantity: line.quantity,
    quantity_decimal: String(line.quantity),
    tax_rates: [],
    test_clock: null,
  };
}

/** Queues lines for the next invoice of `owner` (a subscription, or a customer for any of their subscriptions). */
export function addPending(
  world: World,
  customer: Customer,
  owner: { id: string },
  lines: InvoiceLine[],
): InvoiceItem[] {
  const waiting = world.hidden.pendingLines.get(owner.id) ?? [];
  world.hidden.pendingLines.set(owner.id, [...waiting, ...lines]);
  return lines.flatMap((line) => {
    const id = itemIdOf(line);
    if (id === null) return [];
    const item = itemOf(id, world.billingNow(), customer, line);
    world.tables.invoiceItems.set(id, item);
    world.emit("invoiceitem.created", item);
    return [item];
  });
}

/** The lines waiting for the next invoice of a subscription, without taking them. */
export function pendingOf(world: World, subscription: Subscription): InvoiceLine[] {
  const { pendingLines } = world.hidden;
  return [
    ...(pendingLines.get(subscription.customer) ?? []),
    ...(pendingLines.get(subscription.id) ?? []),
  ].filter((line) => line.currency === subscription.currency);
}

/** Takes the lines waiting for the next invoice of a subscription. */
export function takePending(world: World, subscription: Subscription): InvoiceLine[] {
  const taken = pendingOf(world, subscription);
  for (const id of [subscription.customer, subscription.id]) {
    const left = (world.hidden.pendingLines.get(id) ?? []).filter((it) => !taken.includes(it));
    if (left.length > 0) world.hidden.pendingLines.set(id, left);
    else world.hidden.pendingLines.delete(id);
  }
  return taken;
}

/** Records on the items which invoice took them; null makes them pending again. */
export function markInvoiced(world: World, lines: InvoiceLine[], invoice: string | null): void {
  for (const line of lines) {
    const item = world.tables.invoiceItems.get(itemIdOf(line) ?? "");
    if (item !== undefined) item.invoice = invoice;
  }
}

/** Makes the items that a voided invoice had taken pending again. */
export function returnPending(
  world: World,
  invoice: { id: string; lines: { data: InvoiceLine[] } },
  owner: string,
): void {
  const back = invoice.lines.data.filter(
    (line) => world.tables.invoiceItems.get(itemIdOf(line) ?? "")?.invoice === invoice.id,
  );
  if (back.length === 0) return;
  markInvoiced(world, back, null);
  const copies = back.map((line) => structuredClone(line));
  world.hidden.pendingLines.set(owner, [
    ...(world.hidden.pendingLines.get(owner) ?? []),
    ...copies,
  ]);
}

/** Deletes a pending item and its lines. */
export function dropItem(world: World, item: InvoiceItem): void {
  for (const [owner, lines] of world.hidden.pendingLines) {
    const left = lines.filter((line) => itemIdOf(line) !== item.id);
    if (left.length !== lines.length) world.hidden.pendingLines.set(owner, left);
  }
  world.tables.invoiceItems.delete(item.id);
  world.emit("invoiceitem.deleted", item);
}
