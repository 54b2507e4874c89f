// Calls of Stripe that wait until told: before they are sent, or with their answer, which is old by the time it arrives.
import type { StripePort } from "../../server/payment/stripe/port.ts";
import { deferred } from "./deferred.ts";

type Call = keyof StripePort;

interface Gate {
  readonly moment: "unsent" | "answered";
  readonly reached: ReturnType<typeof deferred>;
  readonly opened: ReturnType<typeof deferred>;
}

/** Returns a holder of calls that holds none yet. They go through its `wrap`: `wrapStripe` of a shop. */
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
    /** Holds the next call of this kind, on any instance: its answer, a refusal too, unless `moment` says otherwise. */
    holdNext(call: Call, moment: Gate["moment"] = "answered") {
      const [reached, opened] = [deferred(), deferred()];
      gates.set(call, { moment, reached, opened });
      return {
        /** It waits now: nothing is sent yet, or the answer is fetched. */
        reached: reached.promise,
        /** Lets it go on. */
        open: opened.resolve,
      };
    },
  };
}
