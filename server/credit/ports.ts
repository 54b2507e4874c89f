// What the credit service needs from outside: a store, the prices, and the catalog's suggestion.
import type { EntryType } from "../../shared/src/credit.ts";
import type { UsageLine, UsageRange } from "../ledger/totals/ports.ts";
import type { BalanceRecord, HistoryLine } from "./credit.types.ts";
import type { FeaturePrices } from "./prices.ts";

/** What code that charges for a feature needs. */
export interface Charging {
  readonly prices: FeaturePrices;
  /** Runs `work`, and adds the package to buy to its INSUFFICIENT_CREDITS error. */
  readonly withPackageSuggestion: <T>(work: () => Promise<T>) => Promise<T>;
}

/** What the credit service reads. Implemented by credit.store.ts. */
export interface CreditStore {
  /** Returns null when there is no such user. */
  balance(userId: string): Promise<BalanceRecord | null>;
  /** Returns entries with `seq` < `beforeSeq`, newest first, after skipping `skip` of them. */
  entries(
    userId: string,
    page: { type?: EntryType; beforeSeq: number; skip: number; limit: number },
  ): Promise<HistoryLine[]>;
  /** How many days one range may have, so that other requests' statements can run in between. */
  readonly maxUsageDays: number;
  /** Returns usage in each range, summed by feature and 24-hour day since its `originMs` (at or before `fromMs`). */
  usage(userId: string, ranges: readonly UsageRange[]): Promise<UsageLine[][]>;
}
