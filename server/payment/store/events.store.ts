// The table `stripe_events`, and how far reconcile has covered Stripe's events (a row of `roll_ups`).
import { eventState } from "../../../shared/src/admin.ts";
import type { PrismaModels } from "../../database/ports.ts";
import { readMark, setMark } from "../../database/roll-up-mark.ts";
import { decodeTimePlace, encodeTimePlace } from "../../lib/cursor.ts";
import type { EventBacklog, StoredEvent, StoredNotice } from "../payment.types.ts";
import type { EventTable } from "../ports.ts";

/** Without the payload, which is never shown. */
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

/** The name of the mark that records when the last complete reconcile began. */
const RECONCILE = "reconcile";

const OPEN = { in: ["PENDING", "FAILED"] };

/** Ignored only for as long as Stripe does not know its object. */
const UNKNOWN = { status: "IGNORED", nextAttemptAt: { not: null } };

type Rows = PrismaModels["stripeEvent"];
type Row = NonNullable<Awaited<ReturnType<Rows["findUnique"]>>>;

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
        where: { id, OR: [{ status: OPEN }, UNKNOWN] },
        data: { status: "FAILED", ...failure },
      });
    },
    due: (now, take) => readDue(rows, now, take),
    completed: (eventIds) => readCompleted(rows, eventIds),
    reconciledTo: () => readMark({ rollUp }, RECONCILE),
    setReconciledTo: (ms) => setMark({ rollUp }, RECONCILE, ms),
    list: (filter) => listEvents(rows, filter),
    backlog: () => countBacklog(rows),
    oldestPendingAt: async () => {
      const oldest = await rows.findFirst({
        where: { status: "PENDING" },
        orderBy: { receivedAt: "asc" },
        select: { receivedAt: true },
      });
      return oldest?.receivedAt ?? null;
    },
  };
}

async function completeEvent(
  rows: Rows,
  id: string,
  { ignoredBecause, nextAttemptAt, processedAt }: Parameters<EventTable["complete"]>[1],
): Promise<void> {
  await rows.update({
    where: { id },
    data: {
      status: ignoredBecause === null ? "PROCESSED" : "IGNORED",
      lastError: ignoredBecause,
      attempts: { increment: 1 },
      nextAttemptAt,
      processedAt,
    },
  });
}

async function readDue(rows: Rows, now: Date, take: number): Promise<StoredEvent[]> {
  const due = await rows.findMany({
    where: { status: { in: [...OPEN.in, UNKNOWN.status] }, nextAttemptAt: { lte: now } },
    orderBy: { nextAttemptAt: "asc" },
    take,
  });
  return due.map(toEvent);
}

async function readCompleted(rows: Rows, eventIds: readonly string[]) {
  const found = await rows.findMany({
    where: { id: { in: [...eventIds] }, status: { in: ["PROCESSED", "IGNORED"] } },
    select: { id: true, status: true },
  });
  return new Map(found.map(({ id, status }) => [id, eventState.parse(status)]));
}

async function countBacklog(rows: Rows): Promise<EventBacklog> {
  const [pending, failed] = await Promise.all([
    rows.count({ where: { status: "PENDING" } }),
    rows.count({ where: { status: "FAILED" } }),
  ]);
  return { pending, failed };
}

function toEvent({ payload, type, ...row }: Row): StoredEvent {
  const { id, status, attempts, lastError, receivedAt, nextAttemptAt } = row;
  return {
    id,
    status: eventState.parse(status),
    isUnknown: status === UNKNOWN.status && nextAttemptAt !== null,
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
    // The loser of a race for the id continues with the winner's row.
    if ((await rows.findUnique({ where: { id } })) === null) throw error;
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
            // Lets the index be read as a range; with the alternatives alone, rows would be checked one by one.
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
