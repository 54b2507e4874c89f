// Shapes of credits: balances, history, usage and metered calls.
import type { z } from "zod";
import type { creditContract, EntryType } from "../../shared/src/credit.ts";

type Contract = typeof creditContract;
export type CreditInput<Name extends keyof Contract> = z.output<Contract[Name]["input"]>;
export type CreditOutput<Name extends keyof Contract> = z.output<Contract[Name]["output"]>;

/** A user's balance as one statement saw it. */
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
export type HistoryLine = CreditOutput<"history">["logs"][number];

export type Balance = CreditOutput<"balance">;
export type LiveBalance = CreditOutput<"onChange">;

/** How a call ended. `refused`: its input did not parse, so there was no call. */
export type CallEnd = "completed" | "failed" | "aborted" | "refused";

/** What a handler sees of its own metering, as `ctx.meter`. */
export interface MeterReading {
  /** What a whole call costs, and the most it can cost. */
  readonly priceCredits: number;
  /** Aborts when the client goes away or the call has run too long. Hand it to the AI provider. */
  readonly signal: AbortSignal;
  /**
   * Says what the work so far is worth, in credits or parts of them. Charged, rounded up, if the call breaks off; a call
   * that broke off and said nothing is free.
   */
  produced(credits: number): void;
  /** Names the model for the usage log. */
  usedModel(model: string): void;
}

/** A call under way. */
export interface MeteredCall extends MeterReading {
  /** Charges or releases, once; later calls do nothing. Never throws. */
  end(how: CallEnd, error?: unknown): Promise<void>;
}
