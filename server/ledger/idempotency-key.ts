// The form of an idempotency key: who asked, then the caller's own words, so that two kinds of callers never meet.
import { assert } from "../lib/errors.ts";

declare const scoped: unique symbol;

/** A key with its scope. Only `scopedKey` makes one. */
export type IdempotencyKey = string & { readonly [scoped]: true };

/** Who asks. The words are stored, so they stay: `user`, `svc` (a worker, by name), `admin`, `metered`, … */
type KeyScope = "user" | "svc" | "admin" | "metered" | "ai" | "refund" | "dispute" | "debt";

/** What every key of a scope begins with; `names` narrow it (a worker's name). A name holds no colon. */
export function keyPrefix(scope: KeyScope, ...names: readonly string[]): string {
  assert(
    names.every((name) => name !== "" && !name.includes(":")),
    "only the last part of an idempotency key may hold a colon",
  );
  return `${[scope, ...names].join(":")}:`;
}

/** The key `key` of `scope`. `key` may be anything a caller sends; it can neither leave its scope nor imitate another. */
export function scopedKey(
  scope: KeyScope,
  ...[key, ...names]: readonly [key: string, ...names: string[]]
): IdempotencyKey {
  return `${keyPrefix(scope, ...names)}${key}` as IdempotencyKey;
}
