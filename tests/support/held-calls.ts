// Calls to Stripe that are held until released, before they are sent or with an answer that is stale when it arrives.
import type { StripePort } from "../../server/payment/stripe/port.ts";
import { deferred } from "./deferred.ts";

type Call = keyof StripePort;

interface Gate {
  readonly moment: "unsent" | "answered";
  readonly reached: ReturnType<typeof deferred>;
  readonly opened: ReturnType<typeof deferred>;
}

/** Returns a holder that holds no calls yet. They pass through its `wrap`, which is for a shop's `wrapStripe`. */
export function createHeldCalls() {
  const gates = new Map<Call, Gate>();
  const seen: { readonly call: string; readonly about: unknown }[] = [];

  async function pass({ moment, reached, opened }: Gate, send: () => unknown): Promise<unknown> {
    const wait = () => {
      reached.resolve();
      return opened.promise;
    };
    if (moment === "unsent") await wait();
    try {
      return await send();
    } finally {
      if (moment === "answered") await wait();
    }
  }

  return {
    /** Every call so far, with its first argument. */
    seen,
    wrap: (port: StripePort) =>
      new Proxy(port, {
        get: (target, name: Call) => {
          const call = target[name] as (...args: unknown[]) => unknown;
          return (...args: unknown[]) => {
            seen.push({ call: name, about: args[0] });
            const gate = gates.get(name);
            if (gate === undefined) return call(...args);
            gates.delete(name);
            return pass(gate, () => call(...args));
          };
        },
      }),
    /** Holds the next call of this kind, on any instance. By default its answer (or error) is held; see `moment`. */
    holdNext(call: Call, moment: Gate["moment"] = "answered") {
      const [reached, opened] = [deferred(), deferred()];
      gates.set(call, { moment, reached, opened });
      return {
        /** Resolves once the call is held: nothing has been sent yet, or the answer has been fetched. */
        reached: reached.promise,
        /** Lets it continue. */
        open: opened.resolve,
      };
    },
  };
}
