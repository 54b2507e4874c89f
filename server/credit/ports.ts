// What the credit service needs from outside: a store, the prices, and the catalog's suggestion.
import type { EntryType } from "../../shared/src/credit.ts";
import type { UsageLine, UsageRange } from "../ledger/totals/ports.ts";
import type { BalanceRecord, HistoryLine } from "./credit.types.ts";
import type { FeaturePrices } from "./prices.ts";

/** What whoever charges for a feature needs. */
export interface Charging {
  readonly prices: FeaturePrices;
  /** Runs `work`, and adds the package to buy to its INSUFFICIENT_CREDITS error. */
  readonly withPackageSuggestion: <T>(work: () => Promise<T>) => Promise<T>;
}

/** What the credit service reads. Implemented by credit.store.ts. */
export interface CreditStore {
  /** Null when there is no such user. */
  balance(userId: string): Promise<BalanceRecord | null>;
  /** Entries with `seq` < `beforeSeq`, newest first, the first `skip` of them left out. */
  entries(
    userId: string,
    page: { type?: EntryType; beforeSeq: number; skip: number; limit: number },
  ): Promise<HistoryLine[]>;
  /** Usage in [fromMs, toMs), added up by feature and by 24 hours since `originMs`, which is not after `fromMs`. */
  usage(userId: string, range: UsageRange): Promise<UsageLine[]>;
}
