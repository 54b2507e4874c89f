// Owns what AI workers may do on a user's behalf: hold, settle, release and spend credits, under a service key.
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { z } from "zod";
import type { serviceContract } from "../../shared/src/service.ts";
import type { PackageSuggestions } from "../credit/ports.ts";
import { type Prices, priceVersion } from "../credit/prices.ts";
import { withPackageSuggestion } from "../credit/package-suggestion.ts";
import { AppError } from "../lib/errors.ts";
import { keyPrefix, scopedKey } from "../ledger/idempotency-key.ts";
import type { Ledger } from "../ledger/ports.ts";

type Input<Name extends keyof typeof serviceContract> = z.output<
  (typeof serviceContract)[Name]["input"]
>;
type Output<Name extends keyof typeof serviceContract> = z.output<
  (typeof serviceContract)[Name]["output"]
>;

/** Which worker is calling. */
export interface ServiceCaller {
  readonly name: string;
}

/** What the service reads. service.store.ts implements it. */
export interface ServiceStore {
  /** Whose hold it is, and the key it was reserved under; null when there is none. */
  hold(holdId: string): Promise<{ userId: string; idempotencyKey: string | null } | null>;
}

/** What the service needs. */
export interface ServiceDeps {
  readonly store: ServiceStore;
  readonly ledger: Ledger;
  readonly costs: Prices;
  readonly packages: PackageSuggestions;
  readonly serviceKeys: readonly { readonly name: string; readonly key: string }[];
}

/** The `service` procedures' work. */
export interface ServiceService {
  /** The worker whose key this is. Throws UNAUTHENTICATED. */
  authenticate(bearer: string | null): ServiceCaller;
  /** Throws INSUFFICIENT_CREDITS, IDEMPOTENCY_CONFLICT, NOT_FOUND (no such user), FORBIDDEN (disabled user). */
  reserve(caller: ServiceCaller, input: Input<"reserve">): Promise<Output<"reserve">>;
  /** Throws HOLD_NOT_ACTIVE, NOT_FOUND (no such hold of this worker), VALIDATION_FAILED (more than is held). */
  settle(caller: ServiceCaller, input: Input<"settle">): Promise<Output<"settle">>;
  /** Throws HOLD_NOT_ACTIVE, NOT_FOUND. */
  release(caller: ServiceCaller, input: Input<"release">): Promise<Output<"release">>;
  /** Throws as `reserve` does. */
  spend(caller: ServiceCaller, input: Input<"spend">): Promise<Output<"spend">>;
}

/** Makes the service. Keys are kept as HMACs under a secret of this process: neither a dump nor a guess by time tells them. */
export function createServiceService(deps: ServiceDeps): ServiceService {
  const { ledger, costs, packages, store } = deps;
  const version = priceVersion(costs);
  const pepper = randomBytes(32);
  const digest = (key: string) => createHmac("sha256", pepper).update(key).digest();
  const callers = deps.serviceKeys.map(({ name, key }) => ({ name, digest: digest(key) }));

  async function userOf(caller: ServiceCaller, holdId: string): Promise<string> {
    const hold = await store.hold(holdId);
    // Another worker's hold is nobody's business, not even that it exists.
    if (hold === null || !hold.idempotencyKey?.startsWith(keyPrefix("svc", caller.name)))
      throw AppError.of("NOT_FOUND", "There is no such hold.");
    return hold.userId;
  }

  return {
    authenticate(bearer) {
      const offered = digest(bearer ?? "");
      let caller: ServiceCaller | null = null;
      // All of them, whichever fits, so that the time says nothing about the place in the list.
      for (const known of callers)
        if (timingSafeEqual(known.digest, offered)) caller = { name: known.name };
      if (bearer === null || caller === null)
        throw AppError.of("UNAUTHENTICATED", "This needs a service key.");
      return caller;
    },

    async reserve(caller, { userId, feature, amount, idempotencyKey, ttlSeconds }) {
      const result = await withPackageSuggestion(packages, () =>
        ledger.submit({
          kind: "reserve",
          userId,
          feature: feature ?? null,
          amountCredits: feature === undefined ? (amount ?? 0) : costs[feature],
          priceVersion: feature === undefined ? null : version,
          idempotencyKey: scopedKey("svc", idempotencyKey, caller.name),
          ttlSeconds,
        }),
      );
      return {
        holdId: result.holdId,
        amount: result.amountCredits,
        expiresAt: result.expiresAt.toISOString(),
        available: result.available,
      };
    },

    async settle(caller, { holdId, amount }) {
      const result = await ledger.submit({
        kind: "settle",
        userId: await userOf(caller, holdId),
        holdId,
        ...(amount === undefined ? {} : { amountCredits: amount }),
      });
      return {
        holdId,
        charged: result.amountCredits,
        transactionId: result.transactionId,
        available: result.available,
      };
    },

    async release(caller, { holdId }) {
      const userId = await userOf(caller, holdId);
      const result = await ledger.submit({ kind: "release", userId, holdId });
      return { holdId, available: result.available };
    },

    async spend(caller, { userId, feature, idempotencyKey }) {
      const result = await withPackageSuggestion(packages, () =>
        ledger.submit({
          kind: "spend",
          userId,
          feature,
          amountCredits: costs[feature],
          priceVersion: version,
          idempotencyKey: scopedKey("svc", idempotencyKey, caller.name),
        }),
      );
      return {
        transactionId: result.transactionId ?? "",
        feature,
        charged: result.amountCredits,
        balance: result.credits,
        priceVersion: result.priceVersion ?? version,
        replayed: result.replayed,
      };
    },
  };
}
