// Owns what counts as one press of a button: two within 600 ms are one, and what costs something has a key per press.
import { useRef } from "react";
import { newKey } from "../format.ts";

/** A double click, or a tap that a phone reports twice. */
const SAME_PRESS_MS = 600;

/** A guard for buttons that stand in one place: `press(act)` calls `act` unless it is the last press again. */
export function usePress(): (act: () => void) => void {
  const lastAt = useRef(Number.NEGATIVE_INFINITY);
  return (act) => {
    const now = performance.now();
    if (now - lastAt.current < SAME_PRESS_MS) return;
    lastAt.current = now;
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
