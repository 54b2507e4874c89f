// `expand[]`: replaces ids with objects along a path, and adds fields that responses omit by default.
import { list } from "./lists.ts";
import type { Json, StripeObject } from "../objects/types.ts";
import { badParam } from "./wire.ts";
import type { World } from "../state/world.ts";

type Bag = { [field: string]: Json };

const MAX_DEPTH = 4;

/** Finds any object by its id, whatever its kind. */
function lookup(world: World, id: string): StripeObject | undefined {
  for (const table of Object.values(world.tables)) {
    const found: StripeObject | undefined = table.get(id);
    if (found !== undefined) return found;
  }
  return undefined;
}

function isBag(value: Json): value is Bag {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Lists and maps that an object includes only on request. */
function includable(world: World, owner: Bag, field: string): Json {
  const id = typeof owner.id === "string" ? owner.id : "";
  const currency = typeof owner.currency === "string" ? owner.currency : "";
  const kind = typeof owner.object === "string" ? owner.object : "";
  const { tables, hidden } = world;
  const of = <T extends StripeObject>(table: Map<string, T>, keep: (row: T) => boolean) =>
    [...table.values()].filter(keep).reverse();
  switch (`${kind}.${field}`) {
    case "checkout.session.line_items":
      return {
        ...list(
          `/v1/checkout/sessions/${id}/line_items`,
          hidden.sessionDetails.get(id)?.lines ?? [],
        ),
      };
    case "invoice.payments":
      return {
        ...list(
          "/v1/invoice_payments",
          of(tables.invoicePayments, (row) => row.invoice === id),
        ),
      };
    case "charge.refunds":
      return {
        ...list(
          `/v1/charges/${id}/refunds`,
          of(tables.refunds, (row) => row.charge === id),
        ),
      };
    case "customer.subscriptions":
      return {
        ...list(
          `/v1/customers/${id}/subscriptions`,
          of(tables.subscriptions, (row) => row.customer === id && row.status !== "canceled"),
        ),
      };
    case "price.currency_options":
      // Only the price's own currency: no price here has others.
      return {
        [currency]: {
          custom_unit_amount: null,
          tax_behavior: owner.tax_behavior,
          unit_amount: owner.unit_amount,
          unit_amount_decimal: owner.unit_amount_decimal,
        },
      };
    default:
      return undefined;
  }
}

function expandPath(world: World, target: Json, path: string[]): Json {
  const [head, ...rest] = path;
  if (head === undefined) return target;
  if (Array.isArray(target)) return target.map((item) => expandPath(world, item, path));
  if (!isBag(target)) return target;
  const value = target[head] ?? includable(world, target, head);
  if (value === undefined) {
    throw badParam(
      `This property cannot be expanded (${path.join(".")}).`,
      "expand",
      "property_cannot_be_expanded",
    );
  }
  const resolve = (item: Json): Json =>
    typeof item === "string"
      ? { ...lookup(world, item) }.id
        ? { ...lookup(world, item) }
        : item
      : item;
  const opened = Array.isArray(value) ? value.map(resolve) : resolve(value);
  return { ...target, [head]: expandPath(world, opened, rest) };
}

/** Applies every `expand` path to a response, leaving the stored objects unchanged. Throws 400 for an unknown path. */
export function expand(world: World, answer: Json, paths: string[]): Json {
  let out = answer;
  for (const path of paths) {
    const parts = path.split(".");
    if (parts.length > MAX_DEPTH + 1) {
      throw badParam(`You cannot expand more than ${MAX_DEPTH} levels of a property.`, "expand");
    }
    out = expandPath(world, out, parts);
  }
  return out;
}
