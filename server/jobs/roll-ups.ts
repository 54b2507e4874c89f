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
/** Batches are counted in entries, which are added up in one transaction. */
const ENTRIES_PACE: Pace = { ...DEFAULT_PACE, rows: 1_000, maxRows: 5_000 };
/** A call is dated before its commit, by clocks that differ: none comes this late. */
const SETTLED_MS = 2 * HOUR_MS;
/** Counted again each time, so that a call which came later still is found a day later. */
const AGAIN_MS = DAY_MS;
/** What one pass through all users covers. */
const WINDOW_MS = 31 * DAY_MS;

/**
 * Adds up what moved before the current quarter of an hour. Returns how many movements of the ledger's batches there
 * were, and how many entries that no batch had counted: those of an older release, or brought in by hand.
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

/** Counts entries in the order of their seq, which is that of their commits, so none comes late. */
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
    // False where another instance was faster: these entries are counted by its hand.
    if (front.length > 0 && (await credits.rollEntries(front, endMs)))
      entries += front.reduce((sum, { fromSeq, toSeq }) => sum + toSeq - fromSeq, 0);
    return { rows: front.length, isLast: pending.length === 0 && after === null };
  };
  await runInBatches(signal, rollBatch, ENTRIES_PACE);
  return entries;
}

/** Cuts off the front of `spans` what comes to `limit` entries, a long span into two. */
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
 * Counts the calls of every user since the last run, and moves the mark up to which reads take totals once all users
 * are counted; what was counted before is written again as it was, so a run may break off anywhere.
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
    // A clock ran ahead, nobody knows when: no total has the calls since. Reads take the calls until all are counted anew.
    await usage.startAnew(nowMs);
    rolledMs = 0;
  }
  let days = 0;
  while (firstMs !== null && rolledMs < endMs) {
    // The first pass takes everything there was before the first user came, too.
    const startMs = Math.max(rolledMs, quarterStart(firstMs));
    const toMs = Math.min(endMs, startMs + WINDOW_MS);
    if (!(await countAll(usage, Math.max(0, rolledMs - AGAIN_MS), toMs, signal))) break;
    await usage.advance(toMs);
    days += Math.ceil((toMs - startMs) / DAY_MS);
    rolledMs = toMs;
  }
  return { days };
}

/** Counts [fromMs, toMs) of every user. False when it was told to stop. */
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

/** The jobs. Figures are exact between their runs, too: reads add what is not in the totals yet. */
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
