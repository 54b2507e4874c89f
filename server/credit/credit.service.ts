// Credits as their owner uses them: balance, spending, history and usage.
import type { Feature } from "../../shared/src/features.ts";
import type { Cache, PubSub } from "../kv/ports.ts";
import { scopedKey } from "../ledger/idempotency-key.ts";
import type { Ledger } from "../ledger/ports.ts";
import type { Logger } from "../lib/logger.ts";
import { createBalances } from "./balances.ts";
import type { CreditInput, CreditOutput, MeteredCall } from "./credit.types.ts";
import { readHistory } from "./history.ts";
import { createLiveBalances } from "./live-balances.ts";
import { beginMeteredCall } from "./metered-call.ts";
import type { Charging, CreditStore } from "./ports.ts";
import { priceTable } from "./prices.ts";
import { spend } from "./spend.ts";
import { createUsage } from "./usage.ts";

/** Dependencies of the service. */
export interface CreditDeps extends Charging {
  readonly store: CreditStore;
  readonly ledger: Ledger;
  /** A cache shared by all instances, or null: a per-process cache would miss changes made by the others. */
  readonly cache: Cache | null;
  readonly pubsub: PubSub;
  readonly logger: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** How often a live balance is read even without a change notification. Defaults to 30 s. */
  readonly livePollMs?: number;
}

/** The logic behind the `credit` procedures. */
export interface CreditService {
  /** Returns the balance, never older than the caller's last change. Throws NOT_FOUND. */
  balance(userId: string): Promise<CreditOutput<"balance">>;
  /** Throws VALIDATION_FAILED for a cursor that is not ours or an offset that is too large, NOT_FOUND. */
  history(userId: string, input: CreditInput<"history">): Promise<CreditOutput<"history">>;
  costs(): CreditOutput<"costs">;
  /** Throws INSUFFICIENT_CREDITS (with the package to buy), IDEMPOTENCY_CONFLICT, SERVICE_UNAVAILABLE. */
  spend(userId: string, input: CreditInput<"spend">): Promise<CreditOutput<"spend">>;
  /**
   * Throws VALIDATION_FAILED for an unknown time zone or a range that is empty or over 366 days, RATE_LIMITED beyond 20
   * concurrent calls of the user, SERVICE_UNAVAILABLE when too many calls are waiting.
   */
  usage(userId: string, input: CreditInput<"usage">): Promise<CreditOutput<"usage">>;
  /**
   * Yields the balance immediately and after every change, until `signal` aborts. Throws RATE_LIMITED beyond 20 streams
   * per user on this instance.
   */
  onChange(
    userId: string,
    signal: AbortSignal,
  ): AsyncGenerator<CreditOutput<"onChange">, void, void>;
  /**
   * Holds the price of a call with a single response, for `meteredProcedure`.
   * Throws INSUFFICIENT_CREDITS, RATE_LIMITED (10 in flight), SERVICE_UNAVAILABLE.
   */
  beginCall(userId: string, feature: Feature, clientSignal?: AbortSignal): Promise<MeteredCall>;
}

/** Returns the service; nothing is read until it is used. */
export function createCreditService(deps: CreditDeps): CreditService {
  const balances = createBalances(deps);
  const costs = { version: deps.prices.version, features: priceTable(deps.prices.credits) };
  return {
    balance: (userId) => balances.get(userId),
    history: (userId, input) => readHistory(deps.store, userId, input),
    costs: () => costs,
    spend: (userId, { feature, idempotencyKey, metadata }) =>
      spend(deps, {
        userId,
        feature,
        metadata,
        idempotencyKey: scopedKey("user", idempotencyKey),
      }),
    usage: createUsage({ ...deps, balances }),
    onChange: createLiveBalances({ ...deps, balances }),
    beginCall: (userId, feature, clientSignal) =>
      beginMeteredCall(deps, { userId, feature, clientSignal }),
  };
}
