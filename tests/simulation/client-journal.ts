// What the simulated clients know: what they asked for under which key, and what they were told of it.
import type { Answer } from "./server.ts";

/** One key of one user, or of an administrator, and all that was heard of it. */
export interface KeyRecord {
  readonly userId: string;
  readonly key: string;
  readonly kind: "spend" | "reserve" | "adjust" | "refund";
  /** Credits asked for; negative: taken by an administrator. Refunds: money, 0 = all that is left. */
  readonly amount: number;
  readonly startedAtMs: number;
  /** Ids of the effect (entry, hold or refund) that were answered: all the same. */
  readonly effects: Set<string>;
  /** Answers that said this call was the first. */
  firsts: number;
  /** Answers whose outcome nobody knows, and calls without an answer yet: the effect may be there. */
  unsure: number;
  refusals: number;
}

/** A hold the client was told of, and how calls to end it went. */
export interface KnownHold {
  readonly userId: string;
  readonly holdId: string;
  readonly amount: number;
  /** What an acknowledged call made of it: `SETTLED 5`, `RELEASED`. */
  readonly ends: string[];
  /** Calls to end it whose outcome nobody knows. */
  unsure: number;
}

/** A checkout the client was sent to. */
export interface KnownSession {
  readonly userId: string;
  readonly sessionId: string;
  readonly kind: "package" | "plan";
}

/** All of it. */
export type ClientJournal = ReturnType<typeof createClientJournal>;

/** An empty journal. */
export function createClientJournal() {
  const keys: KeyRecord[] = [];
  return {
    keys,
    holds: [] as KnownHold[],
    sessions: [] as KnownSession[],
    /** The highest `seq` each user was told of. */
    seqs: new Map<string, number>(),
    /** Opens a record, for a call under way. */
    begin: (given: Pick<KeyRecord, "userId" | "key" | "kind" | "amount">, nowMs: number) => {
      const record: KeyRecord = {
        ...given,
        startedAtMs: nowMs,
        effects: new Set(),
        firsts: 0,
        unsure: 1,
        refusals: 0,
      };
      keys.push(record);
      return record;
    },
    /** One more call under the key of a record. */
    again: (record: KeyRecord) => {
      record.unsure += 1;
    },
    /** The answer to a call; the sentence of what is wrong with it, or null. */
    heard: <T>(
      record: KeyRecord,
      answer: Answer<T>,
      effectOf: (value: T) => { readonly id: string; readonly first: boolean },
    ) => {
      if (answer.kind === "unknown") return null;
      record.unsure -= 1;
      if (answer.kind === "refused") {
        record.refusals += 1;
        return null;
      }
      const { id, first } = effectOf(answer.value);
      record.effects.add(id);
      if (first) record.firsts += 1;
      if (record.effects.size > 1)
        return `key ${record.key} was answered with ${[...record.effects].join(" and ")}`;
      if (record.firsts > 1) return `key ${record.key} was said to take effect twice`;
      return null;
    },
  };
}
