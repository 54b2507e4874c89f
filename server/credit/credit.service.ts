// Owns what a person may do with credits: see them, spend them, look back.
import type { z } from "zod";
import type { creditContract } from "../../shared/src/credit.ts";
import type { Feature } from "../../shared/src/features.ts";
import type { Database } from "../backend/database.ts";
import type { Cache, PubSub } from "../backend/backend.ts";
import type { Ledger } from "../ledger/operations.ts";
import type { Logger } from "../logger.ts";

type Input<Name extends keyof typeof creditContract> = z.output<
  (typeof creditContract)[Name]["input"]
>;
type Output<Name extends keyof typeof creditContract> = z.output<
  (typeof creditContract)[Name]["output"]
>;

/** Finds the package to suggest to somebody who is short. */
export interface PackageSuggestions {
  /** Id of the smallest active package of at least `shortfallCredits` credits, else of the largest; null when there is none. */
  suggest(shortfallCredits: number): Promise<string | null>;
}

/** What the credit service stands on. */
export interface CreditDeps {
  readonly database: Database;
  readonly ledger: Ledger;
  readonly cache: Cache;
  readonly pubsub: PubSub;
  readonly logger: Logger;
  readonly now: () => number;
  /** Credits per call of each feature, from the environment. */
  readonly costs: Readonly<Record<Feature, number>>;
  readonly packages: PackageSuggestions;
}

/** The `credit` procedures' work. */
export interface CreditService {
  balance(userId: string): Promise<Output<"balance">>;
  history(userId: string, input: Input<"history">): Promise<Output<"history">>;
  costs(): Output<"costs">;
  /** Throws INSUFFICIENT_CREDITS (with the package to buy), IDEMPOTENCY_CONFLICT, SERVICE_UNAVAILABLE. */
  spend(userId: string, input: Input<"spend">): Promise<Output<"spend">>;
  usage(userId: string, input: Input<"usage">): Promise<Output<"usage">>;
  /** The position at once and after every change, until `signal` aborts. */
  onChange(userId: string, signal: AbortSignal): AsyncIterable<Output<"onChange">>;
}

/** Makes the credit service. */
export function createCreditService(_deps: CreditDeps): CreditService {
  throw new Error("The credit service is not written yet.");
}
