// Types of metered runs: what is requested, what is stored, how a run ends.
import type { z } from "zod";
import type { aiContract, RunEvent, RunOutcome } from "../../shared/src/ai.ts";
import type { ErrorCode } from "../../shared/src/errors.ts";
import type { Feature } from "../../shared/src/features.ts";

export type StartInput = z.output<typeof aiContract.start.input>;
export type StartResult = z.output<typeof aiContract.start.output>;
export type StopResult = z.output<typeof aiContract.stop.output>;
export type RunView = z.output<typeof aiContract.run.output>;
export type ModelList = z.output<typeof aiContract.models.output>;

/** An event with the id from which a client resumes. */
export interface TrackedRunEvent {
  readonly id: string;
  readonly event: RunEvent;
}

/** A run as it is stored: what it costs and what became of it, never its prompt or output. */
export interface Run {
  readonly id: string;
  readonly userId: string;
  readonly feature: Feature;
  /** Hash of the input: tells a replay from a key reused for other input. */
  readonly inputHash: string;
  readonly holdId: string;
  readonly heldCredits: number;
  readonly state: "running" | RunOutcome;
  /** What the output was worth when the lease was last renewed. */
  readonly producedCredits: number;
  readonly charged: number;
  /** The balance after the charge; null while it runs. */
  readonly balance: number | null;
  readonly code: ErrorCode | null;
  /** Number of the last event; null while it runs, and if its producer died. */
  readonly lastSeq: number | null;
  readonly leaseExpiresAt: Date;
  readonly createdAt: Date;
  readonly endedAt: Date | null;
}

/** Tokens as counted by the provider; null if it did not count them. */
export interface TokenCounts {
  inputTokens: number | null;
  outputTokens: number | null;
}

/** What a run has produced so far. */
export interface Progress extends TokenCounts {
  /** UTF-16 units of text. */
  characters: number;
  slides: number;
  /** UTF-16 units of the deck's JSON, including slides that are dropped. */
  deckCharacters: number;
  /** JSON bytes of the slides sent. */
  deckBytes: number;
  /** Number of the last event appended. */
  lastSeq: number;
}

/** How a run is to end. */
export interface RunEnding extends Readonly<TokenCounts> {
  readonly outcome: RunOutcome;
  readonly code: ErrorCode | null;
  /** What to charge, 0..held. */
  readonly chargeCredits: number;
  readonly model: string | null;
  readonly durationMs: number;
  /** Number that the end event will have. */
  readonly lastSeq: number;
}

/** How a run ended. */
export interface EndedRun {
  readonly outcome: RunOutcome;
  readonly charged: number;
  readonly balance: number;
  readonly code: ErrorCode | null;
}

/** Bounds of runs, in milliseconds. Tests use shorter ones. */
export interface RunTimings {
  /** How long a run continues without any reader. */
  readonly readerGraceMs: number;
  readonly maxRunMs: number;
  /** How long the model may send nothing. */
  readonly modelSilenceMs: number;
  /** How long the output is kept after the end. */
  readonly keepOutputMs: number;
  /** A producer that has not renewed its lease for this long is presumed dead. */
  readonly leaseMs: number;
  /** How often a producer renews its lease and checks for readers, and how often a reader announces itself. */
  readonly tickMs: number;
}
