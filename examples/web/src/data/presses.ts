// What counts as one press of a button. Two within 600 ms are one, and a press that costs something has its own key.
import { useRef } from "react";
import { newKey } from "../format.ts";

/** How far apart the two presses of a double click, or of a tap that a phone reports twice, may be. */
export const SAME_PRESS_MS = 600;

/** Calls the action, unless the press repeats the last one: the same intent within SAME_PRESS_MS. */
export type Press = (intent: string, act: () => void) => void;

/** A guard against double presses. `intent` identifies what the press does, including any typed text. */
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
 * The idempotency key of an action. `keyFor(input)` returns the same key for the same input until `settled` is called
 * after a response, so that a retry after a lost response takes effect only once.
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
