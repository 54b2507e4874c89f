/** A user's entries to be added up: those after `fromSeq`, up to and including `toSeq`. */
export interface EntrySpan {
  readonly userId: string;
  readonly fromSeq: number;
  readonly toSeq: number;
}

/** The range [fromMs, toMs), in milliseconds since 1970. */
export interface MovementRange {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Sums of the credits that moved in the range. */
export interface Movements extends MovementRange {
  /** Sum of every amount above zero, whatever its type. */
  readonly granted: number;
  readonly spent: number;
}

/** The totals of credit_logs: each batch's movements, and their sums by quarter of an hour and type. */
export interface CreditTotalsStore {
  /**
   * Adds at most `rows` movements dated before `beforeMs`, a quarter boundary, to the totals. Returns how many it
   * added: 0 when another instance has already added one of them.
   */
  rollMovements(beforeMs: number, rows: number): Promise<number>;
  /**
   * Checks the next `users` users by id. Returns the spans of entries that no batch has counted, and the last user
   * checked, or null at the end.
   */
  unrolled(
    afterUserId: string,
    users: number,
  ): Promise<{ spans: EntrySpan[]; last: string | null }>;
  /** Moves the mark: from now on the totals may contain what lies before `ms`, a quarter boundary. Never moves back. */
  advance(ms: number): Promise<void>;
  /**
   * Counts the spans: entries before `ms`, a quarter boundary, in the totals, the rest as movements. Returns false and
   * changes nothing if another instance has already counted one of them, which it can tell because a user's `rolledSeq`
   * moves in the same transaction, and only from the value that was read.
   */
  rollEntries(spans: readonly EntrySpan[], ms: number): Promise<boolean>;
  /** Returns the range that `movements` covers now, if asked for [fromMs, toMs). */
  rangeOf(fromMs: number, toMs: number): Promise<MovementRange>;
  /**
   * Counts, in the same way, what the ledger has added to these users' entries since they were read, while it holds
   * their rows, so that nothing is added meanwhile: from then on their batches are counted by the ledger. Stops
   * between two users when `signal` aborts, and leaves out a user whose row stays held. Returns how many entries it
   * counted.
   */
  catchUp(userIds: readonly string[], ms: number, signal: AbortSignal): Promise<number>;
  /**
   * Returns what moved in [fromMs, toMs), from the totals, the movements, and entries that are in neither yet. An end
   * that lies within the totals is moved outwards to a quarter boundary, and returned so; an end beyond them is exact.
   *
   * `allCounted` saves the scan for entries in neither, if the caller has just seen that no user has any. It misses
   * none that was committed before that: an entry that is counted stays so. Of those committed since, it misses what
   * an older release has written or somebody has brought in by hand.
   */
  movements(
    fromMs: number,
    toMs: number,
    options?: { readonly allCounted?: boolean },
  ): Promise<Movements>;
}

/** Usage of one feature within 24 hours. */
export interface UsageLine {
  readonly feature: string;
  /** Number of whole 24-hour days since the requested origin. */
  readonly day: number;
  readonly firstAtMs: number;
  readonly credits: number;
  readonly calls: number;
}

/** The range [fromMs, toMs), in milliseconds since 1970. Its days are counted from `originMs`. */
export interface UsageRange {
  readonly originMs: number;
  readonly fromMs: number;
  readonly toMs: number;
}

/** The totals of usage_logs by user, quarter of an hour and feature. */
export interface UsageTotalsStore {
  /** Returns the mark: calls before it are in the totals. 0 when none are. */
  rolledTo(): Promise<number>;
  /** Returns when the first user was created; null without users. */
  firstUserAt(): Promise<number | null>;
  /** Returns the id of the last of the next `users` users; null when there are no more. */
  lastOfPage(afterUserId: string, users: number): Promise<string | null>;
  /**
   * Counts the calls in [fromMs, toMs) of the users after `users.after` up to `users.last`. Idempotent, because it
   * overwrites the totals. Both moments are quarter boundaries.
   */
  count(users: { after: string; last: string }, fromMs: number, toMs: number): Promise<void>;
  /** Moves the mark: from now on, reads take what lies before `ms` from the totals. Never moves back. */
  advance(ms: number): Promise<void>;
  /** Resets a mark that is beyond `ms`: reads take nothing from the totals until everything is counted again. */
  resetMarkBeyond(ms: number): Promise<void>;
  /**
   * Returns a user's usage in each range: from the totals as far as they go, from the calls beyond them and in partial
   * quarters.
   */
  read(userId: string, ranges: readonly UsageRange[]): Promise<UsageLine[][]>;
}
