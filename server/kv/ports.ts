// What the rest of the server sees instead of Redis or its in-process fallback.
import type { DependencyState } from "../lib/dependency-state.ts";

/** Bounded key-value store for things that may be lost at any time. A failing store misses; it never throws. */
export interface Cache {
  /** The value under `key`, or undefined (absent, expired, or the store is unavailable). */
  get(key: string): Promise<string | undefined>;
  /** Keeps `value` for `ttlSeconds` at most. False when the store did not take it: `key` misses here until it can. */
  set(key: string, value: string, ttlSeconds: number): Promise<boolean>;
  /** Sets only if absent; true when this call set it. When the store is unavailable: `undefined` (unknown). */
  setIfAbsent(key: string, value: string, ttlSeconds: number): Promise<boolean | undefined>;
  delete(...keys: string[]): Promise<void>;
}

/** Advisory per-user locks: speed, never correctness (docs/architecture.md, "Rules behind it"). */
export interface Locks {
  /**
   * Tries to take all of `keys` in one round trip for `ttlMs`.
   * Returns what was taken and a way to give it back. When the store is unavailable, everything counts as taken.
   */
  acquire(keys: readonly string[], ttlMs: number): Promise<LockLease>;
}

/** Locks held by this caller until `release` or the end of their time. */
export interface LockLease {
  readonly acquired: ReadonlySet<string>;
  /** Compare-and-delete: a lock that expired and was taken by another stays theirs. Never throws. */
  release(): Promise<void>;
}

/** Fire-and-forget messages between instances. Lost messages are allowed; subscribers re-read the database. */
export interface PubSub {
  publish(channel: string, message: string): Promise<void>;
  /** Calls `listener` for each message until the returned function is called. */
  subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>>;
}

/** What a limiter says of one call. */
export interface LimitResult {
  allowed: boolean;
  remaining: number;
  /** Milliseconds until the window is over. */
  resetMs: number;
}

/** Counts calls per key in fixed windows. Falls back to memory when Redis is unavailable. */
export interface Limiter {
  consume(key: string): Promise<LimitResult>;
}

/** A limiter's shape: `points` per `windowMs`, under a name of its own. */
export interface LimiterRule {
  name: string;
  points: number;
  windowMs: number;
}

/** What Redis's circuit has seen since the start. */
export interface RedisStats {
  /** True while everything falls back. */
  readonly circuitOpen: boolean;
  /** How often it opened. */
  readonly opened: number;
  /** Questions answered without Redis. */
  readonly fallbacks: number;
}

/** The key-value side as each of its implementations provides it. */
export interface KeyValues {
  readonly cache: Cache;
  readonly locks: Locks;
  readonly pubsub: PubSub;
  readonly runOutput: RunOutput;
  limiter(rule: LimiterRule): Limiter;
  /** Answers within about a second. */
  check(): Promise<DependencyState>;
  /** Null where there is no Redis. */
  stats(): RedisStats | null;
  close(): Promise<void>;
}

/** One event of a run as it is kept: numbered from 1, in the order produced. */
export interface OutputEvent {
  readonly seq: number;
  readonly data: string;
}

/** What a look at a run's output found. */
export interface OutputPage {
  readonly events: readonly OutputEvent[];
  /** Number of the last event there is; 0 when there is none or nothing is known of the run. */
  readonly lastSeq: number;
  /** False when the store does not answer: nothing can be said, look again. */
  readonly reachable: boolean;
  /** True where the run is produced: then nothing beyond `lastSeq` exists anywhere. */
  readonly isProducer: boolean;
}

/**
 * What metered runs have produced, kept for readers on any instance until a while after the run's end. It is written
 * where the run is produced and nowhere else, but for the last event of a run whose producer died.
 */
export interface RunOutput {
  /** Whether other instances can read what is produced here, and this one what they produce. */
  readonly isShared: boolean;
  /** Begins a run produced here. Its output is kept at most `ttlSeconds`, whatever becomes of it. */
  begin(runId: string, ttlSeconds: number): void;
  /** Appends to a run begun here; returns the event's number. Readers elsewhere get it when the store is reachable. */
  append(runId: string, data: string): number;
  /** The run is over: keeps its output for `ttlSeconds` more. */
  finish(runId: string, ttlSeconds: number): void;
  /** Appends the last event of a run produced by a process that is gone. Never throws. */
  appendAfterCrash(runId: string, data: string, ttlSeconds: number): Promise<void>;
  /** Events after `afterSeq`, oldest first, in pages. Never throws. */
  read(runId: string, afterSeq: number): Promise<OutputPage>;
  /**
   * Asks a run's producer, wherever it is, to send again what the shared store has lost; when all is there, watchers of
   * the run are woken, even if nothing was lost. May be lost. Never throws.
   */
  requestMissing(runId: string): Promise<void>;
  /** Calls `listener` when something was appended, on any instance. Wake-ups may be lost: look again now and then. */
  watch(runId: string, listener: () => void): Promise<() => Promise<void>>;
  /** A reader is there now. Never throws. */
  noteReader(runId: string): Promise<void>;
  /** When a reader was last there, by performance.now(); null = never; undefined = the store cannot tell. */
  lastReaderAt(runId: string): Promise<number | null | undefined>;
}
