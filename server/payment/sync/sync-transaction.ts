// Owns what all parts of payments share: their dependencies, the user's lock, and effects that commit together.
import type { Database, DatabaseTransaction } from "../../database/ports.ts";
import { lockUser } from "../../database/lock-user.ts";
import { AppError } from "../../lib/errors.ts";
import type { Ledger } from "../../ledger/ports.ts";
import type { Logger } from "../../lib/logger.ts";
import type { StripePort } from "../stripe/port.ts";

/** Dependencies of every part of payments. */
export interface PaymentDeps {
  readonly database: Database;
  readonly ledger: Ledger;
  readonly stripe: StripePort;
  readonly logger: Logger;
  readonly now: () => number;
}

/** What has to be written here for us to agree with Stripe, as one look at Stripe found it. */
export type SyncEffect =
  | { readonly kind: "ignored"; readonly reason: string }
  | {
      readonly kind: "effect";
      readonly userId: string;
      /**
       * Writes the effect, under the user's lock. `stale`: our row changed after Stripe was asked; ask again.
       * Must be free of effects outside `tx`, as transactions may run again.
       */
      apply(tx: DatabaseTransaction): Promise<"done" | "stale">;
    };

/** What a synchronisation did. */
export type SyncResult =
  | { readonly outcome: "done"; readonly userId: string }
  | { readonly outcome: "ignored"; readonly reason: string };

/** Several effects of one user as one: applied in order, in one transaction. */
export function allOf(userId: string, effects: readonly SyncEffect[]): SyncEffect {
  return {
    kind: "effect",
    userId,
    apply: async (tx) => {
      for (const effect of effects) {
        if (effect.kind === "effect" && (await effect.apply(tx)) === "stale") return "stale";
      }
      return "done";
    },
  };
}

const MAX_LOOKS = 6;

/** Rolls back what an outdated effect has written so far: all of it happens, or none. */
class StaleError extends Error {}

/**
 * Looks at Stripe and writes what it found, with `commitWith` in the same transaction; looks again while our row was changed in
 * between, so that an older answer never overwrites a newer one. Throws SERVICE_UNAVAILABLE when that does not end.
 */
export async function applySync(
  work: PaymentDeps,
  look: () => Promise<SyncEffect>,
  commitWith?: (tx: DatabaseTransaction, settled: SyncResult) => Promise<void>,
): Promise<SyncResult> {
  for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
    const effect = await look();
    if (effect.kind === "ignored") {
      const settled: SyncResult = { outcome: "ignored", reason: effect.reason };
      if (commitWith) await work.database.transaction((tx) => commitWith(tx, settled));
      return settled;
    }
    const settled: SyncResult = { outcome: "done", userId: effect.userId };
    const written = await work.database
      .transaction(async (tx) => {
        await lockUser(tx, effect.userId);
        if ((await effect.apply(tx)) === "stale") throw new StaleError();
        await commitWith?.(tx, settled);
        return true;
      })
      .catch((error: unknown) => {
        if (error instanceof StaleError) return false;
        throw error;
      });
    if (written) {
      await work.ledger.changed([effect.userId]);
      return settled;
    }
  }
  throw AppError.of("SERVICE_UNAVAILABLE", "This is being changed elsewhere. Please try again.", {
    retryAfterSeconds: 2,
  });
}
