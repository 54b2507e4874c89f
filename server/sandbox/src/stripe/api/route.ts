// An endpoint of the Stripe stand-in: a method, a path, and a function from one call to its response.
import type { Json } from "../objects/types.ts";
import type { World } from "../state/world.ts";
import type { Fields } from "./wire.ts";

/** One authenticated and parsed request. */
export interface Call {
  world: World;
  /** Path parameters in order. */
  ids: string[];
  fields: Fields;
}

/** One endpoint. It does everything in one synchronous step. */
export interface Route {
  method: "GET" | "POST" | "DELETE";
  /** `/v1/customers/:id`: one `:` part per path parameter. */
  path: string;
  handle(call: Call): Json;
}
