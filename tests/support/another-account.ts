// Stripe as a key of another account sees it.
import { stripeError } from "../../server/payment/stripe/errors.ts";
import type { StripeEventNotice, StripePort } from "../../server/payment/stripe/port.ts";

/** The refusal of an object that Stripe does not know. */
export function missing(call: string) {
  const facts = { statusCode: 404, stripeCode: "resource_missing", param: "id" };
  const told = { detail: "No such object", requestId: null, replayed: false, attempts: 1 };
  return stripeError({ refusal: "missing", call, ...facts, ...told });
}

/** Nothing of ours is there. It lists `events`. */
export const anotherAccount = (
  port: StripePort,
  events: readonly StripeEventNotice[],
): StripePort =>
  new Proxy(port, {
    get: (target, name: keyof StripePort) => {
      if (name === "listEvents") return async () => ({ events: [...events], more: false });
      if (name.startsWith("list")) return async () => [];
      return name.startsWith("get") ? () => Promise.reject(missing(name)) : target[name];
    },
  });
