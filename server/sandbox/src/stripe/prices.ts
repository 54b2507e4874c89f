// Owns which prices may be sold: an archived one is refused wherever a price is newly chosen.
import type { Price } from "./types.ts";
import { apiError } from "./wire.ts";
import { need, type World } from "./world.ts";

/**
 * The price with this id. 400 when it is missing, or archived and not among `known` (prices already
 * in use go on). Stripe has no code for an archived price, only words.
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
