// What an endpoint of the Stripe stand-in is: a method, a path, and a function from one call to its answer.
import type { Json } from "../objects/types.ts";
import type { World } from "../state/world.ts";
import type { Fields } from "./wire.ts";

/** One authenticated request, read. */
export interface Call {
  world: World;
  /** Path parameters in order. */
  ids: string[];
  fields: Fields;
}

/** One endpoint. Everything it does happens in one synchronous step. */
export interface Route {
  method: "GET" | "POST" | "DELETE";
  /** `/v1/customers/:id`: one `:` part per path parameter. */
  path: string;
  handle(call: Call): Json;
}
