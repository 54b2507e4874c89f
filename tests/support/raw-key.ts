// The one way past the scopes of idempotency keys: tests of the ledger itself bring keys of any form.
import type { IdempotencyKey } from "../../server/ledger/idempotency-key.ts";

/** `text` as a key, whatever it looks like. */
export const rawKey = (text: string) => text as IdempotencyKey;
