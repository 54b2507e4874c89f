import type { CreditTotalsStore, EntrySpan, UsageTotalsStore } from "../ledger/totals/ports.ts";
import { quarterStart } from "../ledger/totals/quarters.ts";
import { DAY_MS, HOUR_MS } from "../lib/time.ts";
import { type BatchResult, DEFAULT_PACE, type Pace, runInBatches } from "./run-in-batches.ts";
import type { Job } from "./runner.ts";

/** Dependencies of these jobs. */
export interface RollUpDeps {
  readonly credits: CreditTotalsStore;
  readonly usage: UsageTotalsStore;
  /** Milliseconds since 1970. */
  readonly now: () => number | Promise<number>;
}

const USERS_PER_PAGE = 2_000;
/** Batch sizes are in entries, which are added up in one transaction. */
const ENTRIES_PACE: Pace = { ...DEFAULT_PACE, rows: 1_000, maxRows: 5_000 };
/** A call is dated before its commit, by instances whose clocks differ. None becomes visible later than this. */
const SETTLED_MS = 2 * HOUR_MS;
/** Counted again by each run, so that a call that appears even later is still counted, if within a day. */
const AGAIN_MS = DAY_MS;
/** The period that one pass through all users covers. */
const WINDOW_MS = 31 * DAY_MS;

/**
 * Adds up what moved before the current quarter of an hour. Returns how many movements of the ledger's batches it
 * added, and how many entries that no batch had counted, because an older release wrote them or they were imported by
 * hand.
 */
export async function rollCredits(
  { credits, now }: Pick<RollUpDeps, "credits" | "now">,
  signal: AbortSignal,
): Promise<{ movements: number; entries: number }> {
  const endMs = quarterStart(await now());
  await credits.advance(endMs);
  let movements = 0;
  await runInBatches(signal, async (size) => {
    const rows = await credits.rollMovements(endMs, size);
    movements += rows;
    return { rows, isLast: rows < size };
  });
  return { movements, entries: await rollUncounted(credits, endMs, signal) };
}

/** Counts each user's uncounted entries in seq order, which is the order of their commits, so none can appear late. */
async function rollUncounted(
  credits: CreditTotalsStore,
  endMs: number,
  signal: AbortSignal,
): Promise<number> {
  let entries = 0;
  let pending: EntrySpan[] = [];
  let after: string | null = "";
  const rollBatch = async (size: number): Promise<BatchResult> => {
    if (pending.length === 0 && after !== null) {
      const page: Awaited<ReturnType<CreditTotalsStore["unrolled"]>> = await credits.unrolled(
        after,
        USERS_PER_PAGE,
      );
      pending = page.spans;
      after = page.last;
    }
    const { front, rest } = splitSpans(pending, size);
    pending = rest;
    // False if another instance was faster and has counted some of these entries.
    if (front.length > 0 && (await credits.rollEntries(front, endMs))) {
      entries += front.reduce((sum, { fromSeq, toSeq }) => sum + toSeq - fromSeq, 0);
      // Who spends all the time has new entries by now, and would be behind at the end of every run. The span cut in two
      // is not at its end yet.
      const finished = front.filter(({ userId }) => userId !== rest[0]?.userId);
      entries += await credits.catchUp(
        finished.map(({ userId }) => userId),
        endMs,
        signal,
      );
    }
    return { rows: front.length, isLast: pending.length === 0 && after === null };
  };
  await runInBatches(signal, rollBatch, ENTRIES_PACE);
  return entries;
}

/** Splits off the first `limit` entries of `spans`, cutting a span in two where needed. */
export function splitSpans(
  spans: readonly EntrySpan[],
  limit: number,
): { front: EntrySpan[]; rest: EntrySpan[] } {
  const front: EntrySpan[] = [];
  const rest: EntrySpan[] = [];
  let room = limit;
  for (const span of spans) {
    const middle = Math.min(span.toSeq, span.fromSeq + room);
    if (middle > span.fromSeq) front.push({ ...span, toSeq: middle });
    if (middle < span.toSeq) rest.push({ ...span, fromSeq: middle });
    room -= middle - span.fromSeq;
  }
  return { front, rest };
}

/**
 * Counts every user's calls since the last run. Once all users are counted, moves the mark up to which reads use the
 * totals. Counting again overwrites totals with the same values, so a run may be interrupted anywhere.
 */
export async function rollUsage(
  { usage, now }: Pick<RollUpDeps, "usage" | "now">,
  signal: AbortSignal,
): Promise<{ days: number }> {
  const nowMs = await now();
  const endMs = quarterStart(nowMs - SETTLED_MS);
  const firstMs = await usage.firstUserAt();
  let rolledMs = await usage.rolledTo();
  if (rolledMs > nowMs) {
    // A clock ran ahead at some unknown time, and calls made since are in no total. Start over; until everything has
    // been counted again, reads use the calls themselves.
    await usage.resetMarkBeyond(nowMs);
    rolledMs = 0;
  }
  let days = 0;
  while (firstMs !== null && rolledMs < endMs) {
    // The first pass also covers all time before the first user was created.
    const startMs = Math.max(rolledMs, quarterStart(firstMs));
    const toMs = Math.min(endMs, startMs + WINDOW_MS);
    if (!(await countAll(usage, Math.max(0, rolledMs - AGAIN_MS), toMs, signal))) break;
    await usage.advance(toMs);
    days += Math.ceil((toMs - startMs) / DAY_MS);
    rolledMs = toMs;
  }
  return { days };
}

/** Counts [fromMs, toMs) of every user. Returns false if aborted. */
async function countAll(
  usage: UsageTotalsStore,
  fromMs: number,
  toMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  let after = "";
  const { isDone } = await runInBatches(signal, async (users) => {
    const last = await usage.lastOfPage(after, users);
    if (last === null) return { rows: 0, isLast: true };
    await usage.count({ after, last }, fromMs, toMs);
    after = last;
    return { rows: users, isLast: false };
  });
  return isDone;
}

/** Returns the jobs. Figures are exact between runs, too, because reads add what is not in the totals yet. */
export function rollUpJobs(deps: RollUpDeps): Job[] {
  return [
    {
      name: "roll-up-credits",
      everySeconds: 300,
      maxSeconds: 7_200,
      firstAfterSeconds: 30,
      run: (signal) => rollCredits(deps, signal),
    },
    {
      name: "roll-up-usage",
      everySeconds: 21_600,
      maxSeconds: 7_200,
      firstAfterSeconds: 120,
      run: (signal) => rollUsage(deps, signal),
    },
  ];
}
