// What goes wrong, how often and how long things take: each seed has weather of its own, from calm to storm.
import type { Random } from "../support/seeded-random.ts";

/** What a statement meets. `away`: the connection is lost before it was sent. */
export type StatementFault = "away" | "conflict" | null;

/** What a COMMIT (or a single write) meets: the connection is lost before it took effect, or after. */
export type CommitFault = "lostBefore" | "lostAfter" | "conflict" | null;

/** What a request to Stripe meets; `…-after` and `half` when Stripe has done the work. */
export type RequestFault =
  | "429"
  | "409"
  | "500"
  | "500-after"
  | "502-empty"
  | "html"
  | "half"
  | "cut-before"
  | "cut-after"
  | "hang"
  | "hang-after"
  | null;

/** What becomes of one event: how often it is told, how late, and whether some of it under another id. */
export interface Telling {
  readonly delayMs: number;
  readonly secondId: boolean;
}

const REQUEST_FAULTS: readonly (readonly [NonNullable<RequestFault>, number])[] = [
  ["429", 2],
  ["409", 1],
  ["500", 1],
  ["500-after", 2],
  ["502-empty", 1],
  ["html", 1],
  ["half", 2],
  ["cut-before", 2],
  ["cut-after", 4],
  ["hang", 1],
  ["hang-after", 2],
];

const HOUR_MS = 3_600_000;

/** How long the parts of the world take: usual range in milliseconds, and the longest of a slow one. */
const LATENCY = {
  statement: { least: 0, most: 2, slowest: 4_000 },
  commit: { least: 0, most: 3, slowest: 3_000 },
  request: { least: 10, most: 120, slowest: 12_000 },
  /** Stripe's, after it has looked: by the time a late one arrives, it is old. */
  answer: { least: 10, most: 120, slowest: 12_000 },
  redis: { least: 0, most: 1, slowest: 2_000 },
} as const;

export type Boundary = keyof typeof LATENCY;

/** The weather of a seed. */
export type Faults = ReturnType<typeof createFaults>;

/** From `least` to `most`, small and large alike: as often 1 to 10 as 10 to 100. */
export function spread(random: Random, least: number, most: number): number {
  return Math.round(least * (most / least) ** random.next());
}

/** Draws the weather. */
export function createFaults(random: Random) {
  /** Some of the faults in each seed, at quite different rates: a storm of everything hides what two of them do. */
  const rate = (...rates: number[]): number => (random.chance(0.45) ? 0 : random.pick(rates));
  const rates = {
    dies: rate(0.001, 0.003, 0.01),
    statementAway: rate(0.002, 0.01, 0.03),
    conflict: rate(0.003, 0.02, 0.08),
    commitLost: rate(0.005, 0.03, 0.1),
    request: rate(0.01, 0.05, 0.2),
    redisAway: rate(0.05, 0.5),
    slow: rate(0.01, 0.05, 0.2),
    lateAnswer: rate(0.05, 0.2, 0.4),
    eventLost: rate(0.05, 0.3, 0.8),
    eventTwice: rate(0.1, 0.5),
    eventLate: rate(0.1, 0.5),
    secondId: rate(0.1, 0.3),
  };
  let unavailableUntilMs = 0;
  let calm = false;
  const happens = (probability: number): boolean => !calm && random.chance(probability);

  return {
    /** While true nothing goes wrong and everything answers in its usual time. */
    get calm() {
      return calm;
    },
    set calm(value: boolean) {
      calm = value;
      if (calm) unavailableUntilMs = 0;
    },
    /** Whether the process dies at this very point. */
    dies: () => happens(rates.dies),
    statement: (nowMs: number): StatementFault => {
      if (nowMs < unavailableUntilMs || happens(rates.statementAway)) return "away";
      return happens(rates.conflict) ? "conflict" : null;
    },
    commit: (nowMs: number): CommitFault => {
      if (nowMs < unavailableUntilMs) return "lostBefore";
      if (happens(rates.commitLost)) return random.chance(0.7) ? "lostAfter" : "lostBefore";
      return happens(rates.conflict) ? "conflict" : null;
    },
    request: (): RequestFault => (happens(rates.request) ? random.weighted(REQUEST_FAULTS) : null),
    /** Whether the lock store does not answer one question. */
    redisAway: () => happens(rates.redisAway),
    latencyMs: (boundary: Boundary) => {
      const { least, most, slowest } = LATENCY[boundary];
      const isSlow = happens(boundary === "answer" ? rates.lateAnswer : rates.slow);
      return isSlow ? spread(random, most, slowest) : random.between(least, most);
    },
    /** How an event is told; empty: it is lost. */
    tellings: (): readonly Telling[] => {
      if (happens(rates.eventLost)) return [];
      const times = happens(rates.eventTwice) ? random.between(2, 4) : 1;
      return Array.from({ length: times }, (_, index) => ({
        delayMs: happens(rates.eventLate)
          ? random.between(0, 72 * HOUR_MS)
          : random.between(5, index === 0 ? 300 : 60_000),
        secondId: index > 0 && happens(rates.secondId),
      }));
    },
    /** The database is away until then. */
    outage: (untilMs: number) => {
      unavailableUntilMs = untilMs;
    },
    /** The rates, for the trace. */
    words: Object.entries(rates)
      .filter(([, value]) => value > 0)
      .map(([name, value]) => `${name}=${value}`)
      .join(" "),
  };
}
