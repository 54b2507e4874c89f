// Which prices may be sold: an archived one is rejected wherever a price is newly chosen.
import { ENDED } from "../billing/subscribing.ts";
import type { Price } from "../objects/types.ts";
import { apiError } from "../api/wire.ts";
import { need, type World } from "../state/world.ts";

/**
 * Throws 400 when a customer with recurring billing or pending items in one currency would also be billed in
 * another. One-time payments are exempt.
 */
export function refuseMixedCurrency(world: World, customer: string, currency: string): void {
  const { subscriptions, invoiceItems, sessions } = world.tables;
  const held = [
    ...[...subscriptions.values()].filter((it) => !ENDED.has(it.status)),
    ...[...invoiceItems.values()].filter((it) => it.invoice === null),
    ...[...sessions.values()].filter((it) => it.status === "open" && it.mode === "subscription"),
  ].find((it) => it.customer === customer && it.currency !== currency);
  if (held === undefined) return;
  throw apiError({
    status: 400,
    type: "invalid_request_error",
    message: `You cannot combine currencies on a single customer. This customer has an active subscription, subscription schedule, discount, quote, invoice item or active subscription mode checkout session with currency ${held.currency}.`,
  });
}

/**
 * Returns the price with this id. Throws 400 when it is missing, or archived and not in `known` (prices already
 * in use stay valid). Stripe has no error code for an archived price, only a message.
 */
export function activePrice(
  world: World,
  id: string,
  param: string,
  known: ReadonlySet<string> = new Set(),
): Price {
  const price = need(world.tables.prices, "price", id, param);
  if (!price.active && !known.has(id)) {
    throw apiError({
      status: 400,
      type: "invalid_request_error",
      message: "The price specified is inactive. This field only accepts active prices.",
      param,
    });
  }
  return price;
}
