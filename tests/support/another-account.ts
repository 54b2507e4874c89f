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
const anotherAccount = (port: StripePort, events: readonly StripeEventNotice[]): StripePort =>
  new Proxy(port, {
    get: (target, name: keyof StripePort) => {
      if (name === "listEvents") return async () => ({ events: [...events], more: false });
      if (name.startsWith("list")) return async () => [];
      return name.startsWith("get") ? () => Promise.reject(missing(name)) : target[name];
    },
  });

/**
 * `ours`, or another account that lists what `elsewhere` answers, while that is not null: decided at each call, since the port
 * is wrapped again, call by call, when the app is opened.
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
