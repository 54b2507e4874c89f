// The table `stripe_events`, and how far all of Stripe's events are known (a row of `roll_ups`).
import { eventState } from "../../../shared/src/admin.ts";
import type { PrismaModels } from "../../database/ports.ts";
import { decodeTimePlace, encodeTimePlace } from "../../lib/cursor.ts";
import type { StoredEvent, StoredNotice } from "../payment.types.ts";
import type { EventTable } from "../ports.ts";

/** Without the payload, which nobody is shown. */
const EVENT_LINE = {
  id: true,
  type: true,
  status: true,
  objectId: true,
  attempts: true,
  lastError: true,
  createdAt: true,
  receivedAt: true,
  processedAt: true,
} as const;

/** The row of `roll_ups`. */
const RECONCILE = "reconcile";

const OPEN = { in: ["PENDING", "FAILED"] };

type Rows = PrismaModels["stripeEvent"];
type Row = NonNullable<Awaited<ReturnType<Rows["findUnique"]>>>;

/** Returns the table as `models` sees it. */
export function eventTable({ stripeEvent: rows, rollUp }: PrismaModels): EventTable {
  return {
    find: async (id) => {
      const row = await rows.findUnique({ where: { id } });
      return row && toEvent(row);
    },
    create: (notice, times) => createEvent(rows, notice, times),
    complete: (id, ending) => completeEvent(rows, id, ending),
    fail: async (id, failure) => {
      await rows.updateMany({
        where: { id, status: OPEN },
        data: { status: "FAILED", ...failure },
      });
    },
    due: (now, take) => readDue(rows, now, take),
    completed: (eventIds) => readCompleted(rows, eventIds),
    reconciledTo: async () =>
      (await rollUp.findUnique({ where: { name: RECONCILE } }))?.rolledTo ?? null,
    setReconciledTo: (at) => setReconciledTo(rollUp, at),
    list: (filter) => listEvents(rows, filter),
    backlog: () => countBacklog(rows),
  };
}

async function completeEvent(
  rows: Rows,
  id: string,
  { ignoredBecause, processedAt }: Parameters<EventTable["complete"]>[1],
): Promise<void> {
  await rows.update({
    where: { id },
    data: {
      status: ignoredBecause === null ? "PROCESSED" : "IGNORED",
      lastError: ignoredBecause,
      attempts: { increment: 1 },
      nextAttemptAt: null,
      processedAt,
    },
  });
}

async function readDue(rows: Rows, now: Date, take: number): Promise<StoredEvent[]> {
  const due = await rows.findMany({
    where: { status: OPEN, nextAttemptAt: { lte: now } },
    orderBy: { nextAttemptAt: "asc" },
    take,
  });
  return due.map(toEvent);
}

async function readCompleted(rows: Rows, eventIds: readonly string[]): Promise<Set<string>> {
  const found = await rows.findMany({
    where: { id: { in: [...eventIds] }, status: { in: ["PROCESSED", "IGNORED"] } },
    select: { id: true },
  });
  return new Set(found.map(({ id }) => id));
}

async function countBacklog(rows: Rows): Promise<{ pending: number; failed: number }> {
  const [pending, failed] = await Promise.all([
    rows.count({ where: { status: "PENDING" } }),
    rows.count({ where: { status: "FAILED" } }),
  ]);
  return { pending, failed };
}

function toEvent({ payload, type, ...row }: Row): StoredEvent {
  const { id, status, attempts, lastError, receivedAt } = row;
  return {
    id,
    status: eventState.parse(status),
    attempts,
    lastError,
    receivedAt,
    notice: { ...(JSON.parse(payload) as StoredNotice), type },
  };
}

async function createEvent(
  rows: Rows,
  notice: Parameters<EventTable["create"]>[0],
  times: Parameters<EventTable["create"]>[1],
): Promise<void> {
  const { id, type, objectId, objectType, paymentIntentId, chargeId, createdAt } = notice;
  const payload: StoredNotice = { type, objectId, objectType, paymentIntentId, chargeId };
  try {
    await rows.create({
      data: {
        id,
        type,
        status: "PENDING",
        objectId,
        payload: JSON.stringify(payload),
        attempts: 0,
        createdAt,
        ...times,
      },
    });
  } catch (error) {
    // The loser of a race for the id goes on with the row of the winner.
    if ((await rows.findUnique({ where: { id } })) === null) throw error;
  }
}

async function setReconciledTo(rollUp: PrismaModels["rollUp"], rolledTo: Date): Promise<void> {
  const row = { name: RECONCILE, rolledTo };
  try {
    await rollUp.upsert({ where: { name: RECONCILE }, create: row, update: { rolledTo } });
  } catch (error) {
    // Who loses the race for the first row leaves the winner's, which is as good.
    if ((await rollUp.findUnique({ where: { name: RECONCILE } })) === null) throw error;
  }
}

async function listEvents(
  rows: Rows,
  { status, limit, cursor }: Parameters<EventTable["list"]>[0],
): ReturnType<EventTable["list"]> {
  const after = cursor === undefined ? null : decodeTimePlace(cursor);
  const found = await rows.findMany({
    where: {
      ...(status === undefined ? {} : { status }),
      ...(after === null
        ? {}
        : {
            // The range the index is read by; the alternatives alone would be looked for row by row.
            receivedAt: { lte: after.at },
            OR: [{ receivedAt: { lt: after.at } }, { receivedAt: after.at, id: { lt: after.id } }],
          }),
    },
    orderBy: [{ receivedAt: "desc" }, { id: "desc" }],
    take: limit + 1,
    select: EVENT_LINE,
  });
  const page = found.slice(0, limit);
  const last = found.length > limit ? page.at(-1) : undefined;
  return {
    events: page.map((row) => ({
      ...row,
      status: eventState.parse(row.status),
      createdAt: row.createdAt.toISOString(),
      receivedAt: row.receivedAt.toISOString(),
      processedAt: row.processedAt?.toISOString() ?? null,
    })),
    nextCursor: last === undefined ? null : encodeTimePlace({ at: last.receivedAt, id: last.id }),
  };
}
