// Cursor lists: newest first, `limit`, `starting_after`, `ending_before` and `created` ranges.
import type { Route } from "./route.ts";
import type { StripeObject } from "../objects/types.ts";
import { badParam, type Fields } from "./wire.ts";
import type { World } from "../state/world.ts";

export interface StripeList {
  object: "list";
  data: StripeObject[];
  has_more: boolean;
  url: string;
}

/** Reads `created=…` or `created[gte]=…` and returns a predicate on unix seconds. */
export function createdRange(fields: Fields, name = "created"): (seconds: number) => boolean {
  if (!fields.has(name)) return () => true;
  let range: Fields | undefined;
  try {
    range = fields.map(name);
  } catch {
    const exact = fields.needInt(name);
    return (seconds) => seconds === exact;
  }
  const gt = range?.int("gt");
  const gte = range?.int("gte");
  const lt = range?.int("lt");
  const lte = range?.int("lte");
  return (seconds) =>
    (gt === undefined || seconds > gt) &&
    (gte === undefined || seconds >= gte) &&
    (lt === undefined || seconds < lt) &&
    (lte === undefined || seconds <= lte);
}

/**
 * One page of `rows` (passed oldest first, returned newest first). Reads the paging parameters. Throws 400 when
 * the cursor matches no row or the limit is outside 1..100.
 */
export function page<T extends StripeObject>(
  fields: Fields,
  url: string,
  rows: Iterable<T>,
  keep: (row: T) => boolean,
): StripeList {
  const limit = fields.int("limit") ?? 10;
  if (limit < 1 || limit > 100) {
    throw badParam(
      "Invalid limit: must be between 1 and 100",
      "limit",
      "parameter_invalid_integer",
    );
  }
  const after = fields.text("starting_after");
  const before = fields.text("ending_before");
  if (after !== undefined && before !== undefined) {
    throw badParam("Pass only one of starting_after and ending_before.", "starting_after");
  }
  const matching = [...rows].filter(keep).reverse();
  const cursor = after ?? before;
  if (cursor === undefined) {
    return list(url, matching.slice(0, limit), matching.length > limit);
  }
  const at = matching.findIndex((row) => row.id === cursor);
  if (at < 0) {
    const name = after === undefined ? "ending_before" : "starting_after";
    throw badParam(`No such object: '${cursor}'`, name, "resource_missing");
  }
  if (after !== undefined) {
    return list(url, matching.slice(at + 1, at + 1 + limit), matching.length > at + 1 + limit);
  }
  return list(url, matching.slice(Math.max(0, at - limit), at), at > limit);
}

/** A list object around rows already in order. */
export function list(url: string, data: StripeObject[], hasMore = false): StripeList {
  return { object: "list", data, has_more: hasMore, url };
}

/** An object that belongs to a payment, found by its charge or payment intent. */
type OfPayment = StripeObject & {
  charge: string | null;
  payment_intent: string | null;
  created: number;
};

/** `GET path?charge=…&payment_intent=…&created=…`, as refunds and disputes are listed. */
export function listOfPayments(
  path: string,
  tableOf: (world: World) => ReadonlyMap<string, OfPayment>,
): Route {
  return {
    method: "GET",
    path,
    handle: ({ world, fields }) => {
      const charge = fields.text("charge");
      const intent = fields.text("payment_intent");
      const created = createdRange(fields);
      const out = page(
        fields,
        path,
        tableOf(world).values(),
        (it) =>
          (charge === undefined || it.charge === charge) &&
          (intent === undefined || it.payment_intent === intent) &&
          created(it.created),
      );
      fields.done();
      return { ...out };
    },
  };
}
