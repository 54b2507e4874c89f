// Owns what all parts of payments share: their dependencies, the user's lock, and effects that commit together.
import type { Database, DatabaseTransaction } from "../../database/ports.ts";
import { AppError } from "../../lib/errors.ts";
import type { Ledger } from "../../ledger/ports.ts";
import type { Logger } from "../../lib/logger.ts";
import type { StripePort } from "../stripe/port.ts";

/** What every part of payments stands on. */
export interface PaymentWork {
  readonly database: Database;
  readonly ledger: Ledger;
  readonly stripe: StripePort;
  readonly logger: Logger;
  readonly now: () => number;
}

/** What one look at Stripe's truth came to. */
export type Truth =
  | { readonly kind: "ignored"; readonly reason: string }
  | {
      readonly kind: "effect";
      readonly userId: string;
      /**
       * Writes the truth, under the user's lock. `stale`: our row changed after the truth was fetched; fetch again.
       * Must be free of effects outside `tx`, as transactions may run again.
       */
      apply(tx: DatabaseTransaction): Promise<"done" | "stale">;
    };

/** What settling came to. */
export type Settled =
  | { readonly outcome: "done"; readonly userId: string }
  | { readonly outcome: "ignored"; readonly reason: string };

/** Several effects of one user as one: applied in order, in one transaction. */
export function allOf(userId: string, effects: readonly Truth[]): Truth {
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

/**
 * Takes the user's row lock: every write of payments, checkouts and subscriptions happens under it, so that of two at
 * once the second sees the first. It comes first in each transaction, as in the ledger: one order, no deadlock.
 */
export async function lockUser(tx: DatabaseTransaction, userId: string): Promise<void> {
  // SQLite's transactions are one at a time from their start.
  if (tx.sql.dialect === "mysql")
    await tx.sql.query("SELECT id FROM users WHERE id = ? FOR UPDATE", [userId]);
}

const MAX_LOOKS = 6;

/** Rolls back what a truth found out of date has written so far: all of it happens, or none. */
class Stale extends Error {}

/**
 * Looks at the truth and writes it, with `commitWith` in the same transaction; looks again while our row was changed in
 * between, so that an older truth never overwrites a newer one. Throws SERVICE_UNAVAILABLE when that does not end.
 */
export async function settleTruth(
  work: PaymentWork,
  look: () => Promise<Truth>,
  commitWith?: (tx: DatabaseTransaction, settled: Settled) => Promise<void>,
): Promise<Settled> {
  for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
    const truth = await look();
    if (truth.kind === "ignored") {
      const settled: Settled = { outcome: "ignored", reason: truth.reason };
      if (commitWith) await work.database.transaction((tx) => commitWith(tx, settled));
      return settled;
    }
    const settled: Settled = { outcome: "done", userId: truth.userId };
    const written = await work.database
      .transaction(async (tx) => {
        await lockUser(tx, truth.userId);
        if ((await truth.apply(tx)) === "stale") throw new Stale();
        await commitWith?.(tx, settled);
        return true;
      })
      .catch((error: unknown) => {
        if (error instanceof Stale) return false;
        throw error;
      });
    if (written) {
      await work.ledger.changed([truth.userId]);
      return settled;
    }
  }
  throw AppError.of("SERVICE_UNAVAILABLE", "This is being changed elsewhere. Please try again.", {
    retryAfterSeconds: 2,
  });
}
