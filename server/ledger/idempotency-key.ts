// The form of an idempotency key: its scope, then the caller's own key, so that two kinds of callers never collide.
import { assert } from "../lib/errors.ts";

declare const scoped: unique symbol;

/** A key with its scope. Only `scopedKey` creates one. */
export type IdempotencyKey = string & { readonly [scoped]: true };

/** The kind of caller. These words are stored, so they must not change. `svc` is a worker, followed by its name. */
type KeyScope = "user" | "svc" | "admin" | "metered" | "ai" | "refund" | "dispute" | "debt";

/** Returns the prefix of every key in a scope. `names` (such as a worker's) narrow it; a name contains no colon. */
export function keyPrefix(scope: KeyScope, ...names: readonly string[]): string {
  assert(
    names.every((name) => name !== "" && !name.includes(":")),
    "only the last part of an idempotency key may hold a colon",
  );
  return `${[scope, ...names].join(":")}:`;
}

/** Returns `key` with its scope as prefix. Whatever a caller sends as `key`, it cannot pass for another scope's. */
export function scopedKey(
  scope: KeyScope,
  ...[key, ...names]: readonly [key: string, ...names: string[]]
): IdempotencyKey {
  return `${keyPrefix(scope, ...names)}${key}` as IdempotencyKey;
}
