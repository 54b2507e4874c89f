// Shapes of metered runs: what is asked for, what is stored, how a run ends.
import type { z } from "zod";
import type { aiContract, RunEvent, RunOutcome } from "../../shared/src/ai.ts";
import type { ErrorCode } from "../../shared/src/errors.ts";
import type { Feature } from "../../shared/src/features.ts";

export type StartInput = z.output<typeof aiContract.start.input>;
export type StartResult = z.output<typeof aiContract.start.output>;
export type StopResult = z.output<typeof aiContract.stop.output>;
export type RunView = z.output<typeof aiContract.run.output>;
export type ModelList = z.output<typeof aiContract.models.output>;

/** An event with the id a client resumes from. */
export interface TrackedRunEvent {
  readonly id: string;
  readonly event: RunEvent;
}

/** A run as it is stored: what it costs and what became of it, never what was said. */
export interface Run {
  readonly id: string;
  readonly userId: string;
  readonly feature: Feature;
  /** Of the input, to tell a repeated key from a reused one. */
  readonly inputHash: string;
  readonly holdId: string;
  readonly heldCredits: number;
  readonly state: "running" | RunOutcome;
  /** What the output so far is worth, as last written down. */
  readonly producedCredits: number;
  readonly charged: number;
  /** The balance after the charge; null while it runs. */
  readonly balance: number | null;
  readonly code: ErrorCode | null;
  /** Number of the last event; null while it runs, and where its producer died. */
  readonly lastSeq: number | null;
  readonly leaseExpiresAt: Date;
  readonly createdAt: Date;
  readonly endedAt: Date | null;
}

/** Tokens as the provider counted them; null where it did not. */
export interface TokenCounts {
  inputTokens: number | null;
  outputTokens: number | null;
}

/** What a run has produced so far. */
export interface Progress extends TokenCounts {
  /** UTF-16 units of text. */
  characters: number;
  slides: number;
  /** JSON of the deck, slides that are dropped included. */
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
  /** Number of the event that will tell of the end. */
  readonly lastSeq: number;
}

/** How it ended. */
export interface EndedRun {
  readonly outcome: RunOutcome;
  readonly charged: number;
  readonly balance: number;
  readonly code: ErrorCode | null;
}

/** Bounds of runs; milliseconds. Tests bring shorter ones. */
export interface RunTimings {
  /** How long a run goes on without any reader. */
  readonly readerGraceMs: number;
  readonly maxRunMs: number;
  /** How long the model may send nothing. */
  readonly modelSilenceMs: number;
  /** How long output is kept after the end. */
  readonly keepOutputMs: number;
  /** A producer that does not renew its lease for so long is taken for dead. */
  readonly leaseMs: number;
  /** How often a producer renews its lease and looks for readers, and a reader says it is there. */
  readonly tickMs: number;
}
