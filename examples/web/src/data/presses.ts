// What counts as one press of a button: two within 600 ms are one, and what costs something has a key per press.
import { useRef } from "react";
import { newKey } from "../format.ts";

/** A double click, or a tap that a phone reports twice. */
export const SAME_PRESS_MS = 600;

/** Calls the action unless the press is the last one again: the same intent within SAME_PRESS_MS. */
export type Press = (intent: string, act: () => void) => void;

/** A guard for buttons that do one thing; `intent` says which, what is typed included. */
export function usePress(): Press {
  const last = useRef({ intent: "", at: Number.NEGATIVE_INFINITY });
  return (intent, act) => {
    const at = performance.now();
    const isSame = last.current.intent === intent && at - last.current.at < SAME_PRESS_MS;
    if (isSame) return;
    last.current = { intent, at };
    act();
  };
}

/**
 * The idempotency key of an action: `keyFor(input)` gives the same key for the same input until `settled` is called with the
 * answer, so that asking again after a lost answer takes effect once.
 */
export function useActionKey(): { keyFor: (input: unknown) => string; settled: () => void } {
  const kept = useRef<{ input: string; key: string } | null>(null);
  return {
    keyFor(input) {
      const text = JSON.stringify(input);
      if (kept.current?.input !== text) kept.current = { input: text, key: newKey() };
      return kept.current.key;
    },
    settled() {
      kept.current = null;
    },
  };
}
