/** Entries of one user that are to be added up: those after `fromSeq` up to `toSeq`. */
export interface EntrySpan {
  readonly userId: string;
  readonly fromSeq: number;
  readonly toSeq: number;
}

/** What moved. */
export interface Movements {
  readonly fromMs: number;
  readonly toMs: number;
  /** Every amount above zero, whatever it was for. */
  readonly granted: number;
  readonly spent: number;
}

/** The totals of credit_logs: each batch's movements, and what is added up of them by quarter of an hour and type. */
export interface CreditTotalsStore {
  /**
   * Adds up to `rows` movements from before `ms`, the border of two quarters, to the totals. Returns how many: none when
   * another instance has added one of them.
   */
  rollMovements(beforeMs: number, rows: number): Promise<number>;
  /** The next users by id with entries that no batch has counted, and the last user looked at; null at the end. */
  unrolled(
    afterUserId: string,
    users: number,
  ): Promise<{ spans: EntrySpan[]; last: string | null }>;
  /** From now on totals may hold what lies before `ms`, the border of two quarters; never moves back. */
  advance(ms: number): Promise<void>;
  /**
   * Counts the spans: what lies before `ms`, the border of two quarters, in the totals, the rest as movements. False, and
   * nothing is changed, when another instance has counted one of them: a user's `rolledSeq` moves in the same
   * transaction, and only from where it was read.
   */
  rollEntries(spans: readonly EntrySpan[], ms: number): Promise<boolean>;
  /**
   * What moved in [fromMs, toMs): totals, movements, and every entry that is in neither. Ends that lie in the totals are moved
   * outwards to borders of quarters, as the answer says; those after them are exact.
   */
  movements(fromMs: number, toMs: number): Promise<Movements>;
}

/** Usage of one feature within 24 hours. */
export interface UsageLine {
  readonly feature: string;
  /** Whole 24 hours since the origin asked for. */
  readonly day: number;
  readonly firstAtMs: number;
  readonly credits: number;
  readonly calls: number;
}

/** Moments in milliseconds: [fromMs, toMs), its days counted from `originMs`. */
export interface UsageRange {
  readonly originMs: number;
  readonly fromMs: number;
  readonly toMs: number;
}

/** The totals of usage_logs by user, quarter of an hour and feature. */
export interface UsageTotalsStore {
  /** Calls before this moment are in the totals; 0 when none are. */
  rolledTo(): Promise<number>;
  /** When the first user came; null without users. */
  firstUserAt(): Promise<number | null>;
  /** The id of the last of the next `users` users; null when there are none. */
  lastOfPage(afterUserId: string, users: number): Promise<string | null>;
  /**
   * Counts the calls in [fromMs, toMs) of users after `afterUserId` up to `lastUserId`, and writes the totals over what
   * was there: doing it again changes nothing. Both moments are borders of quarters.
   */
  count(users: { after: string; last: string }, fromMs: number, toMs: number): Promise<void>;
  /** From now on reads take what lies before `ms` from the totals; never moves back. */
  advance(ms: number): Promise<void>;
  /** A mark beyond `ms` is taken for none: reads take nothing from the totals until they are counted again. */
  startAnew(ms: number): Promise<void>;
  /** What a user used: the totals as far as they go, the calls themselves beyond and at ragged ends. */
  read(userId: string, range: UsageRange): Promise<UsageLine[]>;
}
