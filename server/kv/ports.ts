// What the rest of the server sees instead of Redis or its in-process fallback.
import type { DependencyState } from "../lib/dependency-state.ts";

/** Bounded key-value store for values that may be lost at any time. A failing store misses; it never throws. */
export interface Cache {
  /** Returns the value of `key`, or undefined (absent, expired, or the store is unavailable). */
  get(key: string): Promise<string | undefined>;
  /**
   * Stores `value` for at most `ttlSeconds`. Resolves to false when the store did not take it; until that is settled,
   * `key` misses on this instance.
   */
  set(key: string, value: string, ttlSeconds: number): Promise<boolean>;
  /**
   * Sets only if absent. Resolves to whether this call set it, or to undefined when the store is unavailable (unknown).
   */
  setIfAbsent(key: string, value: string, ttlSeconds: number): Promise<boolean | undefined>;
  delete(...keys: string[]): Promise<void>;
}

/** Advisory per-user locks: for speed, never for correctness (docs/architecture.md, "Rules behind it"). */
export interface Locks {
  /**
   * Tries to take each of `keys` for `ttlMs`, in one round trip. Returns those taken and a way to release them. When
   * the store is unavailable, all of them count as taken.
   */
  acquire(keys: readonly string[], ttlMs: number): Promise<LockLease>;
}

/** Locks held by this caller until `release` or expiry. */
export interface LockLease {
  readonly acquired: ReadonlySet<string>;
  /** Compare-and-delete: leaves alone a lock that expired and was taken by another caller. Never throws. */
  release(): Promise<void>;
}

/** Fire-and-forget messages between instances. Lost messages are allowed; subscribers re-read the database. */
export interface PubSub {
  publish(channel: string, message: string): Promise<void>;
  /** Calls `listener` for each message, until the returned function is called. */
  subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>>;
}

/** A limiter's verdict on one call. */
export interface LimitResult {
  allowed: boolean;
  remaining: number;
  /** Milliseconds until the window ends. */
  resetMs: number;
}

/** Counts calls per key in fixed windows. Falls back to memory when Redis is unavailable. */
export interface Limiter {
  consume(key: string): Promise<LimitResult>;
}

/** A limiter's rule: `points` per `windowMs`, under a name that no other limiter has. */
export interface LimiterRule {
  name: string;
  points: number;
  windowMs: number;
}

/** Statistics of Redis's circuit since this process started. */
export interface RedisStats {
  /** True while everything falls back. */
  readonly circuitOpen: boolean;
  /** How often it opened. */
  readonly opened: number;
  /** Calls that were answered without Redis. */
  readonly fallbacks: number;
}

/** The key-value side, as each implementation provides it. */
export interface KeyValues {
  readonly cache: Cache;
  readonly locks: Locks;
  readonly pubsub: PubSub;
  readonly runOutput: RunOutput;
  limiter(rule: LimiterRule): Limiter;
  /** Resolves within about a second. */
  check(): Promise<DependencyState>;
  /** Null where there is no Redis. */
  stats(): RedisStats | null;
  close(): Promise<void>;
}

/** One stored event of a run, numbered from 1 in the order produced. */
export interface OutputEvent {
  readonly seq: number;
  readonly data: string;
}

/** What a read of a run's output found. */
export interface OutputPage {
  readonly events: readonly OutputEvent[];
  /** Number of the last event stored; 0 when there is none or the run is unknown. */
  readonly lastSeq: number;
  /** False when the store is unavailable: the page then proves nothing, so read again. */
  readonly reachable: boolean;
  /** True on the instance that produces the run: nothing beyond `lastSeq` then exists anywhere. */
  readonly isProducer: boolean;
}

/**
 * The output of metered runs, kept for readers on any instance until some time after the run's end. Only the instance
 * that produces a run writes its output, except for the last event of a run whose producer died.
 */
export interface RunOutput {
  /** Whether other instances can read what is produced here, and this one what they produce. */
  readonly isShared: boolean;
  /** Begins a run produced here. Its output is kept for at most `ttlSeconds` unless `finish` extends that. */
  begin(runId: string, ttlSeconds: number): void;
  /**
   * Appends to a run begun here and returns the event's number. Readers elsewhere get it once the store is reachable.
   */
  append(runId: string, data: string): number;
  /** Ends the run: its output is kept for another `ttlSeconds`. */
  finish(runId: string, ttlSeconds: number): void;
  /** Appends the last event of a run whose producing process died. Never throws. */
  appendAfterCrash(runId: string, data: string, ttlSeconds: number): Promise<void>;
  /** Returns the events after `afterSeq`, oldest first, a page at a time. Never throws. */
  read(runId: string, afterSeq: number): Promise<OutputPage>;
  /**
   * Asks a run's producer, wherever it is, to resend what the shared store has lost. Once everything is there, the
   * run's watchers are woken, even if nothing had been lost. The request may get lost. Never throws.
   */
  requestMissing(runId: string): Promise<void>;
  /**
   * Calls `listener` when something was appended, on any instance. Wake-ups may be lost, so read again now and then.
   */
  watch(runId: string, listener: () => void): Promise<() => Promise<void>>;
  /** Records that a reader is present now. Never throws. */
  noteReader(runId: string): Promise<void>;
  /** Returns when a reader was last present, by performance.now(); null = never; undefined = the store cannot tell. */
  lastReaderAt(runId: string): Promise<number | null | undefined>;
}
