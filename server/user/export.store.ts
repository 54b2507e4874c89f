// What `user.export` contains: every row about the user, without secrets or other people's data, read a page at a time.
import { setImmediate as breathe } from "node:timers/promises";
import type { PrismaModels } from "../database/ports.ts";
import { keyPrefix } from "../ledger/idempotency-key.ts";

/** Rows per statement, so that other statements can run between two pages. */
const PAGE_ROWS = 500;
/** Rows at which a list is cut off, so that memory stays bounded. `incomplete` names the lists that were cut off. */
const MAX_LIST_ROWS = 100_000;

const AUDIT_LINE = { id: true, action: true, reason: true, ipAddress: true, createdAt: true };

type Row = Record<string, unknown>;
/** Reads the page after `last`, the last row of the page before; undefined = the first page. */
type ReadPage<One extends Row = Row> = (last: One | undefined) => Promise<One[]>;

/** Returns everything stored about the user as one JSON document; null if the user does not exist or was deleted. */
export async function exportUser(
  models: PrismaModels,
  userId: string,
  signal?: AbortSignal,
): Promise<Record<string, unknown> | null> {
  const user = await models.user.findUnique({ where: { id: userId } });
  if (user === null || user.deletedAt !== null) return null;
  const document: Record<string, unknown> = {
    format: "skywork-export-1",
    exportedAt: new Date().toISOString(),
    user: toPlainRow(user),
  };
  const incomplete: string[] = [];
  // One list after another, so that an export runs one statement at a time, however much there is.
  for (const [name, pages] of Object.entries(createLists(models, userId))) {
    const { rows, whole } = await collect(pages, signal);
    document[name] = rows;
    if (!whole) incomplete.push(name);
  }
  return incomplete.length === 0 ? document : { ...document, incomplete };
}

/** Yields the pages of a list, one by one. */
async function* pagesOf<One extends Row>(read: ReadPage<One>): AsyncGenerator<One[], void> {
  let page: One[] = [];
  do {
    page = await read(page.at(-1));
    yield page;
  } while (page.length === PAGE_ROWS);
}

async function collect(
  pages: AsyncIterable<Row[]>,
  signal: AbortSignal | undefined,
): Promise<{ rows: Row[]; whole: boolean }> {
  const rows: Row[] = [];
  signal?.throwIfAborted();
  for await (const page of pages) {
    for (const row of page) rows.push(toPlainRow(row));
    if (rows.length >= MAX_LIST_ROWS) return { rows, whole: false };
    await breathe();
    signal?.throwIfAborted();
  }
  return { rows, whole: true };
}

/** Returns a row with its dates in ISO 8601. */
function toPlainRow(row: object): Row {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]: [string, unknown]) => [
      name,
      value instanceof Date ? value.toISOString() : value,
    ]),
  );
}

/** A filter for rows after `last` in order of creation. The id breaks ties. Every list has an index in this order. */
function afterRow(last: Row | undefined) {
  if (last === undefined) return {};
  const { createdAt, id } = last as { createdAt: Date; id: string };
  return {
    createdAt: { gte: createdAt },
    OR: [{ createdAt: { gt: createdAt } }, { id: { gt: id } }],
  };
}

function createLists(
  models: PrismaModels,
  userId: string,
): Readonly<Record<string, AsyncIterable<Row[]>>> {
  const readers = Object.entries(createReaders(models, userId));
  return {
    ...Object.fromEntries(readers.map(([name, read]) => [name, pagesOf(read)])),
    auditLogs: auditPages(models, userId),
  };
}

function createReaders(models: PrismaModels, userId: string): Readonly<Record<string, ReadPage>> {
  const inOrder = () => [{ createdAt: "asc" as const }, { id: "asc" as const }];
  const page = (last: Row | undefined) => ({
    where: { userId, ...afterRow(last) },
    orderBy: inOrder(),
    take: PAGE_ROWS,
  });
  return {
    identities: (last) => models.identity.findMany(page(last)),
    // The Prisma client itself omits token hashes (CLIENT_OPTIONS).
    sessions: (last) => models.session.findMany(page(last)),
    creditLogs: async (last) => {
      const rows = await models.creditLog.findMany({
        where: { userId, seq: { gt: Number(last?.["seq"] ?? 0) } },
        orderBy: { seq: "asc" },
        take: PAGE_ROWS,
      });
      return rows.map((row) => withoutOthers(row, row.type));
    },
    creditGrants: async (last) => {
      const rows = await models.creditGrant.findMany(page(last));
      return rows.map((row) => withoutOthers(row, row.source));
    },
    creditHolds: (last) => models.creditHold.findMany(page(last)),
    usageLogs: (last) => models.usageLog.findMany(page(last)),
    aiRuns: (last) => models.aiRun.findMany(page(last)),
    idempotencyKeys: (last) =>
      models.idempotencyKey.findMany({
        where: {
          userId,
          key: { gt: (last as { key: string } | undefined)?.key ?? "" },
          // These keys are made by the server and contain the id of an erased account.
          NOT: { key: { startsWith: keyPrefix("debt") } },
        },
        orderBy: { key: "asc" },
        take: PAGE_ROWS,
        select: { key: true, createdAt: true },
      }),
    checkouts: (last) => models.checkout.findMany(page(last)),
    payments: (last) => models.payment.findMany(page(last)),
    subscriptions: (last) => models.subscription.findMany(page(last)),
    // What the user did to others as an administrator, but not to whom, which is those others' data.
    auditLogsAsActor: (last) =>
      models.auditLog.findMany({
        ...page(last),
        where: { actorId: userId, NOT: aboutAccount(userId), ...afterRow(last) },
        select: AUDIT_LINE,
      }),
  };
}

/** Clears the source of an entry or lot that names an administrator, or the erased account of a carried-over debt. */
function withoutOthers<T extends { userId: string; sourceId: string | null }>(
  row: T,
  type: string,
) {
  const isOthers = type === "ADMIN_ADJUST" && row.sourceId !== row.userId;
  return isOthers ? { ...row, sourceId: null } : row;
}

function aboutAccount(userId: string) {
  return { targetType: "user", targetId: userId };
}

/**
 * Yields what was done to the account and to its payments, and why, but not by whom or from where: that is another
 * person's data, unless the user did it.
 */
async function* auditPages(models: PrismaModels, userId: string): AsyncGenerator<Row[], void> {
  const read = async (where: object) => {
    const rows = await models.auditLog.findMany({
      where,
      // In index order, whatever the lines are about.
      orderBy: [{ targetId: "asc" }, { createdAt: "asc" }, { id: "asc" }],
      take: PAGE_ROWS,
      select: { ...AUDIT_LINE, targetType: true, targetId: true, detail: true, actorId: true },
    });
    return rows.map(({ actorId, ipAddress, ...row }) => ({
      ...row,
      // A line without an actor was written at a sign-in of this user.
      ipAddress: actorId === null || actorId === userId ? ipAddress : null,
    }));
  };
  yield* pagesOf((last) => read({ ...aboutAccount(userId), ...afterRow(last) }));
  const payments = pagesOf<{ id: string; createdAt: Date }>((last) =>
    models.payment.findMany({
      where: { userId, ...afterRow(last) },
      orderBy: [{ createdAt: "asc" }, { id: "asc" }],
      take: PAGE_ROWS,
      select: { id: true, createdAt: true },
    }),
  );
  for await (const page of payments) {
    const about = { targetType: "payment", targetId: { in: page.map(({ id }) => id) } };
    if (page.length > 0) yield* pagesOf((last) => read({ ...about, ...afterLine(last) }));
  }
}

/** A filter for lines after `last`, ordered by what they are about, then by creation. */
function afterLine(last: Row | undefined) {
  if (last === undefined) return {};
  const { targetId } = last as { targetId: string };
  return { OR: [{ targetId: { gt: targetId } }, { targetId, ...afterRow(last) }] };
}
