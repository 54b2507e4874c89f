// Owns the ledger as the rest of the server sees it: the sole writer of credits.
import type { Cache, Locks, PubSub } from "../backend/backend.ts";
import type { Database } from "../backend/database.ts";
import type { Logger } from "../logger.ts";
import type { Ledger } from "./operations.ts";

/** What the ledger stands on. */
export interface LedgerDeps {
  readonly database: Database;
  readonly locks: Locks;
  readonly cache: Cache;
  readonly pubsub: PubSub;
  readonly logger: Logger;
  /** Milliseconds since 1970, as Date.now; tests bring their own. */
  readonly now: () => number;
}

/** Makes the ledger. `close()` it before the database: it finishes what is queued. */
export function createLedger(_deps: LedgerDeps): Ledger {
  throw new Error("The ledger is not written yet.");
}
