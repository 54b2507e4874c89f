// What a worker does with credits on a user's behalf: reserve, settle, release, spend.
import type { Charging } from "../credit/ports.ts";
import { spend } from "../credit/spend.ts";
import { notFound } from "../lib/errors.ts";
import { keyPrefix, scopedKey } from "../ledger/idempotency-key.ts";
import type { Ledger } from "../ledger/ports.ts";
import type { WorkersStore } from "./ports.ts";
import type { ServiceCaller, WorkersInput, WorkersOutput } from "./workers.types.ts";

/** Dependencies of these functions. */
export interface HoldDeps extends Charging {
  readonly store: WorkersStore;
  readonly ledger: Ledger;
}

/** Holds credits. Throws INSUFFICIENT_CREDITS, IDEMPOTENCY_CONFLICT, NOT_FOUND, FORBIDDEN (disabled user). */
export async function reserve(
  deps: HoldDeps,
  caller: ServiceCaller,
  input: WorkersInput<"reserve">,
): Promise<WorkersOutput<"reserve">> {
  const { userId, feature, amount, idempotencyKey, ttlSeconds } = input;
  const result = await deps.withPackageSuggestion(() =>
    deps.ledger.submit({
      kind: "reserve",
      userId,
      feature: feature ?? null,
      amountCredits: feature === undefined ? (amount ?? 0) : deps.prices.credits[feature],
      priceVersion: feature === undefined ? null : deps.prices.version,
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
}

/** Charges a hold. Throws HOLD_NOT_ACTIVE, NOT_FOUND (no such hold of this worker), VALIDATION_FAILED. */
export async function settle(
  { store, ledger }: Pick<HoldDeps, "store" | "ledger">,
  caller: ServiceCaller,
  { holdId, amount }: WorkersInput<"settle">,
): Promise<WorkersOutput<"settle">> {
  const result = await ledger.submit({
    kind: "settle",
    userId: await findHolder(store, caller, holdId),
    holdId,
    ...(amount === undefined ? {} : { amountCredits: amount }),
  });
  return {
    holdId,
    charged: result.amountCredits,
    transactionId: result.transactionId,
    available: result.available,
  };
}

/** Releases a hold without charging. Throws HOLD_NOT_ACTIVE, NOT_FOUND. */
export async function release(
  { store, ledger }: Pick<HoldDeps, "store" | "ledger">,
  caller: ServiceCaller,
  { holdId }: WorkersInput<"release">,
): Promise<WorkersOutput<"release">> {
  const userId = await findHolder(store, caller, holdId);
  const result = await ledger.submit({ kind: "release", userId, holdId });
  return { holdId, available: result.available };
}

/** Charges the price of a feature immediately, without a hold. Throws as `reserve` does. */
export function spendFor(
  deps: HoldDeps,
  { name }: ServiceCaller,
  { userId, feature, idempotencyKey }: WorkersInput<"spend">,
): Promise<WorkersOutput<"spend">> {
  return spend(deps, {
    userId,
    feature,
    idempotencyKey: scopedKey("svc", idempotencyKey, name),
  });
}

async function findHolder(
  store: WorkersStore,
  caller: ServiceCaller,
  holdId: string,
): Promise<string> {
  const hold = await store.hold(holdId);
  // Do not reveal that another worker's hold exists.
  if (hold === null || !hold.idempotencyKey?.startsWith(keyPrefix("svc", caller.name)))
    throw notFound("hold");
  return hold.userId;
}
