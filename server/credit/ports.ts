// What the credit service needs from outside: a store, and the catalog's suggestion.
import type { EntryType } from "../../shared/src/credit.ts";
import type { UsageLine, UsageRange } from "../ledger/totals/ports.ts";
import type { BalanceRecord, HistoryLine } from "./credit.types.ts";

/** Finds the package to suggest to somebody who is short. The catalog implements it, and nobody else. */
export interface PackageSuggestions {
  /** Id of the smallest active package of at least `shortfallCredits` credits, else of the largest; null when there is none. */
  suggest(shortfallCredits: number): Promise<string | null>;
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
