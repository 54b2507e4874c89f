// What the clients of a dying server know: each action with what they were told, and every answer that was wrong.
import { TRPCClientError } from "@trpc/client";
import type { inferRouterOutputs } from "@trpc/server";
import type { AppRouter } from "../../../shared/src/router.ts";
import { codeOf } from "../../../shared/src/refusal.ts";
import { LockedOut } from "./cookie-client.ts";

/** What a client knows of an action. */
export type Outcome = "acknowledged" | "refused" | "inDoubt";

/** What came of asking once. */
export type Told<Answer> =
  | { readonly outcome: "acknowledged"; readonly answer: Answer }
  | { readonly outcome: "refused"; readonly code: string }
  | { readonly outcome: "inDoubt" };

/** An action under an idempotency key, so that it may be asked for again. */
export interface Action<Answer> {
  readonly userId: string;
  /** As the database or Stripe keeps it. */
  readonly key: string;
  readonly ask: () => Promise<Answer>;
  /** What of an answer says what took effect: the same at every repetition. */
  readonly effectOf: (answer: Answer) => string;
  outcome: Outcome;
  answer: Answer | null;
  /** How often it was asked for. */
  asked: number;
}

type Outputs = inferRouterOutputs<AppRouter>;
export type SpendAnswer = Outputs["credit"]["spend"];
export type ReserveAnswer = Outputs["service"]["reserve"];
export type RefundAnswer = Outputs["admin"]["refundPayment"];

/** A hold as the worker who took it knows it. */
export interface KnownHold {
  readonly holdId: string;
  readonly amount: number;
  /** The end that was asked for: credits to take, or null for a release. */
  readonly end: number | null;
  isEndTold: boolean;
}

/** A checkout as its buyer knows it. */
export interface KnownSession {
  readonly sessionId: string;
  readonly paymentId: string;
  readonly userId: string;
  readonly credits: number;
  /** As Stripe has it after the buyer was there. */
  state: "open" | "paid" | "unpaid";
  /** What no refund was ordered of yet. Minor units. */
  refundable: number;
}

/** Everything that was asked and told. */
export type Journal = ReturnType<typeof createJournal>;

/** A definite no: nothing happened, nothing will. */
const REFUSALS = new Set([
  "INSUFFICIENT_CREDITS",
  "HOLD_NOT_ACTIVE",
  "CONFLICT",
  "VALIDATION_FAILED",
]);
const MAX_WRONG = 50;

/** An empty journal of a server that has been ended `ends()` times: only an end excuses a lost answer. */
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
    // Without data nobody answered: the connection broke.
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
    /** Sentences about answers no correct server gives. */
    wrong,
    /** Adds a sentence to `wrong`, which is bounded. */
    note,
    /** Requests sent by name, and answers by outcome. */
    sent,
    outcomes,
    /** How many have begun. */
    get operations() {
      return operations;
    },
    /** Asks once and says what the client may conclude. Never throws. */
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
