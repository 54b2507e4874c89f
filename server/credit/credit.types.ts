// Types for credits: balances, history, usage and metered calls.
import type { z } from "zod";
import type { creditContract, EntryType } from "../../shared/src/credit.ts";

type Contract = typeof creditContract;
export type CreditInput<Name extends keyof Contract> = z.output<Contract[Name]["input"]>;
export type CreditOutput<Name extends keyof Contract> = z.output<Contract[Name]["output"]>;

/** A user's balance, from a single statement and thus one snapshot. */
export interface BalanceRecord {
  readonly credits: number;
  readonly held: number;
  readonly seq: number;
  readonly entryCounts: Readonly<Partial<Record<EntryType, number>>>;
  /** Open lots in spend order, at most the first 200. */
  readonly lots: readonly {
    readonly id: string;
    readonly source: string;
    readonly remaining: number;
    readonly expiresAtMs: number | null;
  }[];
  /** When the first ACTIVE hold expires; null when there is none. */
  readonly nextHoldEndsAtMs: number | null;
}

/** An entry as shown in the history. */
export type HistoryLine = CreditOutput<"history">["logs"][number];

export type Balance = CreditOutput<"balance">;
export type LiveBalance = CreditOutput<"onChange">;

/** How a call ended. `refused` means its input was invalid, so there was no call. */
export type CallEnd = "completed" | "failed" | "aborted" | "refused";

/** A handler's view of its own metering, as `ctx.meter`. */
export interface MeterReading {
  /** The price of a completed call, which is also the most a call can cost. */
  readonly priceCredits: number;
  /** Aborts when the client disconnects or the call has run too long. Pass it to the AI provider. */
  readonly signal: AbortSignal;
  /**
   * Reports what the work so far is worth, in credits or fractions of one. If the call breaks off, that is charged,
   * rounded up. A call that breaks off without having reported anything is free.
   */
  produced(credits: number): void;
  /** Sets the model for the usage log. */
  usedModel(model: string): void;
}

/** A call in progress. */
export interface MeteredCall extends MeterReading {
  /** Charges or releases the hold, once; repeated calls do nothing more. Never throws. */
  end(how: CallEnd, error?: unknown): Promise<void>;
}
