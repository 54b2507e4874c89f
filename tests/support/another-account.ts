// Stripe as seen with the key of a different account.
import { stripeError } from "../../server/payment/stripe/errors.ts";
import type { StripeEventNotice, StripePort } from "../../server/payment/stripe/port.ts";

/** The error for an object that Stripe does not know. */
export function missing(call: string) {
  const facts = { statusCode: 404, stripeCode: "resource_missing", param: "id" };
  const told = { detail: "No such object", requestId: null, replayed: false, attempts: 1 };
  return stripeError({ refusal: "missing", call, ...facts, ...told });
}

/** A Stripe account that has none of our objects and lists `events`. */
const anotherAccount = (port: StripePort, events: readonly StripeEventNotice[]): StripePort =>
  new Proxy(port, {
    get: (target, name: keyof StripePort) => {
      if (name === "listEvents") return async () => ({ events: [...events], more: false });
      if (name.startsWith("list")) return async () => [];
      return name.startsWith("get") ? () => Promise.reject(missing(name)) : target[name];
    },
  });

/**
 * Switches between `ours` and another account, which is used while `elsewhere` returns events rather than null. Decided
 * on every call, because opening the app wraps the port again, method by method.
 */
export const switchAccount = (
  ours: StripePort,
  elsewhere: () => readonly StripeEventNotice[] | null,
): StripePort =>
  new Proxy(ours, {
    get: (_, name: keyof StripePort) => {
      const call = (...args: unknown[]): unknown => {
        const listed = elsewhere();
        const seen = listed === null ? ours : anotherAccount(ours, listed);
        return (seen[name] as typeof call)(...args);
      };
      return call;
    },
  });
