// What the clients of a crashing server know: each action with the answers they received, and every wrong answer.
import { TRPCClientError } from "@trpc/client";
import type { inferRouterOutputs } from "@trpc/server";
import type { AppRouter } from "../../../shared/src/router.ts";
import { codeOf } from "../../../shared/src/refusal.ts";
import { LockedOut } from "./cookie-client.ts";

/** What a client knows of an action. */
export type Outcome = "acknowledged" | "refused" | "inDoubt";

/** The result of one attempt. */
export type Told<Answer> =
  | { readonly outcome: "acknowledged"; readonly answer: Answer }
  | { readonly outcome: "refused"; readonly code: string }
  | { readonly outcome: "inDoubt" };

/** An action with an idempotency key, so that it can be retried. */
export interface Action<Answer> {
  readonly userId: string;
  /** As stored by the database or Stripe. */
  readonly key: string;
  readonly ask: () => Promise<Answer>;
  /** Extracts the part of an answer that identifies the effect: it must be the same in every replay. */
  readonly effectOf: (answer: Answer) => string;
  outcome: Outcome;
  answer: Answer | null;
  /** How often it was requested. */
  asked: number;
}

type Outputs = inferRouterOutputs<AppRouter>;
export type SpendAnswer = Outputs["credit"]["spend"];
export type ReserveAnswer = Outputs["service"]["reserve"];
export type RefundAnswer = Outputs["admin"]["refundPayment"];

/** A hold as known to the worker that took it. */
export interface KnownHold {
  readonly holdId: string;
  readonly amount: number;
  /** The requested end: credits to take, or null for a release. */
  readonly end: number | null;
  isEndAcknowledged: boolean;
}

/** A checkout as known to its buyer. */
export interface KnownSession {
  readonly sessionId: string;
  readonly paymentId: string;
  readonly userId: string;
  readonly credits: number;
  /** The state at Stripe after the buyer's visit. */
  state: "open" | "paid" | "unpaid";
  /** The amount for which no refund has been ordered yet, in minor units. */
  refundable: number;
}

/** Everything that was requested and answered. */
export type Journal = ReturnType<typeof createJournal>;

/** Definite refusals: nothing happened, and nothing will. */
const REFUSALS = new Set([
  "INSUFFICIENT_CREDITS",
  "HOLD_NOT_ACTIVE",
  "CONFLICT",
  "VALIDATION_FAILED",
]);
const MAX_WRONG = 50;

/** Creates an empty journal for a server that has been stopped `ends()` times: only that excuses a lost answer. */
export function createJournal(ends: () => number) {
  const wrong: string[] = [];
  const sent = new Map<string, number>();
  const outcomes: Record<Outcome, number> = { acknowledged: 0, refused: 0, inDoubt: 0 };
  let operations = 0;

  function note(sentence: string): void {
    if (wrong.length < MAX_WRONG) wrong.push(sentence);
  }

  function begin(name: string): void {
    operations += 1;
    sent.set(name, (sent.get(name) ?? 0) + 1);
  }

  function conclude(name: string, error: unknown, isExcused: boolean): Told<never> {
    // Without data there was no answer: the connection broke.
    const data: unknown = error instanceof TRPCClientError ? error.data : undefined;
    const code = codeOf(data);
    if (code !== null && REFUSALS.has(code)) return { outcome: "refused", code };
    const isCut = (data === undefined || data === null) && !(error instanceof LockedOut);
    if (!(isCut ? isExcused : code === "SERVICE_UNAVAILABLE")) note(`${name}: ${String(error)}`);
    return { outcome: "inDoubt" };
  }

  return {
    spends: [] as Action<SpendAnswer>[],
    reserves: [] as Action<ReserveAnswer>[],
    refunds: [] as Action<RefundAnswer>[],
    holds: new Map<string, KnownHold>(),
    sessions: new Map<string, KnownSession>(),
    /** Descriptions of answers that no correct server gives. */
    wrong,
    /** Adds a description to `wrong`, which is bounded. */
    note,
    /** Requests sent, by name, and answers, by outcome. */
    sent,
    outcomes,
    /** How many operations have begun. */
    get operations() {
      return operations;
    },
    /** Makes one attempt and returns what the client may conclude. Never rejects. */
    async attempt<Answer>(name: string, ask: () => Promise<Answer>): Promise<Told<Answer>> {
      begin(name);
      const endsBefore = ends();
      let told: Told<Answer>;
      try {
        told = { outcome: "acknowledged", answer: await ask() };
      } catch (error) {
        told = conclude(name, error, ends() > endsBefore);
      }
      outcomes[told.outcome] += 1;
      return told;
    },
  };
}
