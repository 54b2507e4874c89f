// How Stripe's state is applied here: read an effect outside any transaction, write it in one, read again if overtaken.
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

/** What must be written here to agree with Stripe, according to one read of Stripe. */
export type SyncEffect =
  | {
      readonly kind: "ignored";
      readonly reason: string;
      /** Whether Stripe does not know the object. That would also be so with the key of another account. */
      readonly isUnknown: boolean;
    }
  | {
      readonly kind: "effect";
      readonly userId: string;
      /** Set when Stripe does not know the effect's object: its event is then ignored, as above, and retried. */
      readonly unknownBecause?: string;
      /**
       * Writes the effect, under the user's lock. `stale`: our row changed after Stripe was read, so read again. Must
       * have no side effects outside `tx`, because transactions may be retried.
       */
      apply(tx: PaymentTransaction): Promise<"done" | "stale">;
    };

/** What a sync did. */
export type SyncResult =
  | { readonly outcome: "done"; readonly userId: string }
  | { readonly outcome: "ignored"; readonly reason: string; readonly isUnknown: boolean };

/** Writes other rows that commit with a sync. */
export type CommitWith = (tx: PaymentTransaction, result: SyncResult) => Promise<void>;

/** Returns the effect of an object that is not ours. */
export function ignored(reason: string): SyncEffect {
  return { kind: "ignored", reason, isUnknown: false };
}

/** Returns the effect of an object Stripe does not know, at least not with this key. `what`: e.g. "this invoice". */
export function unknownToStripe(what: string): SyncEffect {
  return { kind: "ignored", reason: `Stripe does not know ${what}.`, isUnknown: true };
}

/** Combines several effects of one user into one: applied in order, in one transaction. */
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

/** Rolls back what a stale effect has written so far: it is applied in full or not at all. */
class StaleError extends Error {}

/**
 * Reads an effect and writes it, with `commitWith` in the same transaction. Reads again whenever our row changed in
 * between, so that an older state never overwrites a newer one. Throws SERVICE_UNAVAILABLE after too many such races.
 */
export async function applySync(
  deps: Pick<SyncDeps, "store" | "ledger">,
  readEffect: () => Promise<SyncEffect>,
  commitWith: CommitWith = async () => {},
): Promise<SyncResult> {
  for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts += 1) {
    // Whatever wrote in between is likely to write again, because one change triggers several events.
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
        // The response to COMMIT may be lost although everything was written.
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
