// Calls of Stripe that wait until told: before they are sent, or with their answer, which is old by the time it arrives.
import type { StripePort } from "../../server/payment/stripe/port.ts";

/** One call that waits. */
export interface HeldCall {
  /** It waits now: nothing is sent yet, or the answer is fetched. */
  readonly reached: Promise<void>;
  /** Lets it go on. */
  open(): void;
}

type Call = keyof StripePort;
type Moment = "unsent" | "answered";

interface Gate {
  readonly moment: Moment;
  arrive(): void;
  readonly opened: Promise<void>;
}

/** Calls to hold, and the port they go through (`wrapStripe` of a shop). */
export interface HeldCalls {
  /** Every call so far, with its first argument. */
  readonly seen: readonly { readonly call: string; readonly about: unknown }[];
  wrap(port: StripePort): StripePort;
  /** Holds the next call of this kind, on any instance: its answer, a refusal too, unless `moment` says otherwise. */
  holdNext(call: Call, moment?: Moment): HeldCall;
}

/** Returns a holder of calls that holds none yet. */
export function createHeldCalls(): HeldCalls {
  const gates = new Map<Call, Gate>();
  const seen: HeldCalls["seen"][number][] = [];

  async function pass(gate: Gate, send: () => unknown): Promise<unknown> {
    const wait = () => {
      gate.arrive();
      return gate.opened;
    };
    if (gate.moment === "unsent") await wait();
    try {
      return await send();
    } finally {
      if (gate.moment === "answered") await wait();
    }
  }

  return {
    seen,
    wrap: (port) =>
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
    holdNext(call, moment = "answered") {
      let arrive = () => {};
      let open = () => {};
      const reached = new Promise<void>((resolve) => {
        arrive = resolve;
      });
      const opened = new Promise<void>((resolve) => {
        open = resolve;
      });
      gates.set(call, { moment, arrive, opened });
      return { reached, open };
    },
  };
}
