// Owns what a person may do with credits: see them, spend them, look back. The parts are in the files beside it.
import type { z } from "zod";
import type { creditContract, EntryType } from "../../shared/src/credit.ts";
import type { Feature } from "../../shared/src/features.ts";
import type { Cache, PubSub } from "../kv/ports.ts";
import { scopedKey } from "../ledger/idempotency-key.ts";
import type { Ledger } from "../ledger/ports.ts";
import type { Logger } from "../lib/logger.ts";
import { createBalances } from "./balances.ts";
import { createHistory } from "./history.ts";
import { createLiveBalances } from "./live.ts";
import { createMeter, type Meter } from "./meter.ts";
import { priceTable, priceVersion } from "./prices.ts";
import { suggesting } from "./suggestion.ts";
import { createUsage } from "./usage.ts";

type Input<Name extends keyof typeof creditContract> = z.output<
  (typeof creditContract)[Name]["input"]
>;
type Output<Name extends keyof typeof creditContract> = z.output<
  (typeof creditContract)[Name]["output"]
>;

/** A user's position as one statement saw it. */
export interface BalanceRecord {
  readonly credits: number;
  readonly held: number;
  readonly seq: number;
  readonly entryCounts: Readonly<Partial<Record<EntryType, number>>>;
  /** Open lots in spend order, the 200 that are spent first. */
  readonly lots: readonly {
    readonly id: string;
    readonly source: string;
    readonly remaining: number;
    readonly expiresAtMs: number | null;
  }[];
  /** When the first ACTIVE hold ends. */
  readonly nextHoldEndsAtMs: number | null;
}

/** An entry as history shows it. */
export type HistoryLine = Output<"history">["logs"][number];

/** Usage of one feature within 24 hours. */
export interface UsageLine {
  readonly feature: string;
  /** Whole 24 hours since the origin asked for. */
  readonly day: number;
  readonly firstAtMs: number;
  readonly credits: number;
  readonly calls: number;
}

/** Finds the package to suggest to somebody who is short. The catalogue implements it, and nobody else. */
export interface PackageSuggestions {
  /** Id of the smallest active package of at least `shortfallCredits` credits, else of the largest; null when there is none. */
  suggest(shortfallCredits: number): Promise<string | null>;
}

/** What the credit service reads. credit.store.ts implements it. */
export interface CreditStore {
  /** Null when there is no such user. */
  balance(userId: string): Promise<BalanceRecord | null>;
  /** Entries with `seq` < `beforeSeq`, newest first, the first `skip` of them left out. */
  entries(
    userId: string,
    page: { type?: EntryType; beforeSeq: number; skip: number; limit: number },
  ): Promise<HistoryLine[]>;
  /** Usage in [fromMs, toMs), added up by feature and by 24 hours since `originMs`, which is not after `fromMs`. */
  usage(
    userId: string,
    range: { originMs: number; fromMs: number; toMs: number },
  ): Promise<UsageLine[]>;
}

/** What the credit service stands on. */
export interface CreditDeps {
  readonly store: CreditStore;
  readonly packages: PackageSuggestions;
  readonly ledger: Ledger;
  /** Shared by all instances, or null: a memory of one process would not hear of what the others change. */
  readonly cache: Cache | null;
  readonly pubsub: PubSub;
  readonly logger: Logger;
  /** Milliseconds since 1970, as Date.now; tests bring their own. */
  readonly now: () => number;
  /** Credits per call of each feature, from the environment. */
  readonly costs: Readonly<Record<Feature, number>>;
  /** How often a live balance is read although nothing was announced; 30 s unless told. */
  readonly livePollMs?: number;
}

/** The `credit` procedures' work. */
export interface CreditService {
  /** Throws NOT_FOUND. Never older than the caller's last change. */
  balance(userId: string): Promise<Output<"balance">>;
  /** Throws VALIDATION_FAILED for a cursor that is not ours, NOT_FOUND. */
  history(userId: string, input: Input<"history">): Promise<Output<"history">>;
  costs(): Output<"costs">;
  /** Throws INSUFFICIENT_CREDITS (with the package to buy), IDEMPOTENCY_CONFLICT, SERVICE_UNAVAILABLE. */
  spend(userId: string, input: Input<"spend">): Promise<Output<"spend">>;
  /**
   * Throws VALIDATION_FAILED for a time zone nobody knows or a range that is empty or over 366 days, RATE_LIMITED beyond
   * 20 calls of the user at once, SERVICE_UNAVAILABLE when too many wait.
   */
  usage(userId: string, input: Input<"usage">): Promise<Output<"usage">>;
  /** The position at once and after every change, until `signal` aborts. RATE_LIMITED beyond 20 streams per user. */
  onChange(userId: string, signal: AbortSignal): AsyncGenerator<Output<"onChange">, void, void>;
  /** What `meteredProcedure` stands on. */
  readonly meter: Meter;
}

/** Makes the credit service. */
export function createCreditService(deps: CreditDeps): CreditService {
  const { ledger, store, costs } = deps;
  const balances = createBalances(deps);
  const live = createLiveBalances({ ...deps, balances });
  const version = priceVersion(costs);
  const table = { version, features: priceTable(costs) };
  return {
    balance: (userId) => balances.get(userId),
    history: createHistory(store),
    costs: () => table,
    async spend(userId, { feature, idempotencyKey, metadata }) {
      const result = await suggesting(deps.packages, () =>
        ledger.submit({
          kind: "spend",
          userId,
          feature,
          amountCredits: costs[feature],
          priceVersion: version,
          idempotencyKey: scopedKey("user", idempotencyKey),
          ...(metadata === undefined ? {} : { metadata }),
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
    usage: createUsage({ ...deps, balances }),
    onChange: (userId, signal) => live.watch(userId, signal),
    meter: createMeter(deps),
  };
}
