// How what Stripe says becomes true here: read an effect outside any transaction, write it in one, read again if overtaken.
import { setTimeout as sleep } from "node:timers/promises";
import { jitteredMs } from "../../lib/backoff.ts";
import { AppError, isAppError } from "../../lib/errors.ts";
import type { Ledger } from "../../ledger/ports.ts";
import type { Logger } from "../../lib/logger.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { PaymentStore, PaymentTransaction } from "../ports.ts";
import type { StripePort } from "../stripe/port.ts";

/** Dependencies of every sync. */
export interface SyncDeps {
  readonly store: PaymentStore;
  readonly ledger: Pick<Ledger, "changed">;
  readonly stripe: StripePort;
  readonly catalog: Catalog;
  readonly logger: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** What has to be written here for us to agree with Stripe, as Stripe was read once. */
export type SyncEffect =
  | {
      readonly kind: "ignored";
      readonly reason: string;
      /** Stripe does not know the object. With the key of another account it would be so, too. */
      readonly isUnknown: boolean;
    }
  | {
      readonly kind: "effect";
      readonly userId: string;
      /** Set where Stripe does not know the object it is about: an event of it is ignored then, as above, and looked at again. */
      readonly unknownBecause?: string;
      /**
       * Writes the effect, under the user's lock. `stale`: our row changed after Stripe was read; read again.
       * Must be free of effects outside `tx`, as transactions may run again.
       */
      apply(tx: PaymentTransaction): Promise<"done" | "stale">;
    };

/** What a sync did. */
export type SyncResult =
  | { readonly outcome: "done"; readonly userId: string }
  | { readonly outcome: "ignored"; readonly reason: string; readonly isUnknown: boolean };

/** Other rows that commit with a sync. */
export type CommitWith = (tx: PaymentTransaction, result: SyncResult) => Promise<void>;

/** The effect of what is none of ours. */
export function ignored(reason: string): SyncEffect {
  return { kind: "ignored", reason, isUnknown: false };
}

/** The effect of what Stripe does not know, at least not with this key: `what` = "this invoice", say. */
export function unknownToStripe(what: string): SyncEffect {
  return { kind: "ignored", reason: `Stripe does not know ${what}.`, isUnknown: true };
}

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

const MAX_ATTEMPTS = 6;
const FIRST_PAUSE_MS = 20;

/** Rolls back what a stale effect has written so far: all of it happens, or none. */
class StaleError extends Error {}

/**
 * Reads an effect and writes it, with `commitWith` in the same transaction; reads again while our row was changed in
 * between, so that an older answer never overwrites a newer one. Throws SERVICE_UNAVAILABLE when that does not end.
 */
export async function applySync(
  deps: Pick<SyncDeps, "store" | "ledger">,
  readEffect: () => Promise<SyncEffect>,
  commitWith: CommitWith = async () => {},
): Promise<SyncResult> {
  for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts += 1) {
    // Whoever wrote in between is likely to write again: several events tell of one change.
    if (attempts > 0) await sleep(jitteredMs(FIRST_PAUSE_MS * 2 ** attempts));
    const effect = await readEffect();
    if (effect.kind === "ignored") {
      const { reason, isUnknown } = effect;
      const result: SyncResult = { outcome: "ignored", reason, isUnknown };
      await deps.store.transaction((tx) => commitWith(tx, result));
      return result;
    }
    const { userId, unknownBecause: reason } = effect;
    const result: SyncResult =
      reason === undefined
        ? { outcome: "done", userId }
        : { outcome: "ignored", reason, isUnknown: true };
    const isWritten = await deps.store
      .lockedTransaction(userId, async (tx) => {
        if ((await effect.apply(tx)) === "stale") throw new StaleError();
        await commitWith(tx, result);
        return true;
      })
      .catch(async (error: unknown) => {
        if (error instanceof StaleError) return false;
        // The answer to COMMIT may be lost, and all of it be there.
        if (isAppError(error, "SERVICE_UNAVAILABLE")) await deps.ledger.changed([userId]);
        throw error;
      });
    if (isWritten) {
      await deps.ledger.changed([userId]);
      return result;
    }
  }
  throw AppError.of("SERVICE_UNAVAILABLE", "This is being changed elsewhere. Please try again.", {
    retryAfterSeconds: 2,
  });
}
