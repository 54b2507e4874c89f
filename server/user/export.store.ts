// What `user.export` contains: every row about the user, without secrets or other people's data, read a page at a time.
import { setImmediate as breathe } from "node:timers/promises";
import type { PrismaModels } from "../database/ports.ts";
import { keyPrefix } from "../ledger/idempotency-key.ts";

/** Rows per statement, so that other statements can run between two pages. */
const PAGE_ROWS = 500;
/** Maximum number of rows in a list. `incomplete` names the lists that were cut off. */
const MAX_LIST_ROWS = 100_000;
/** Maximum size of all rows together, as JSON: the document is built in memory, and is one string when it is sent. */
const MAX_BYTES = 32_000_000;

const AUDIT_LINE = { id: true, action: true, reason: true, ipAddress: true, createdAt: true };

type Row = Record<string, unknown>;
/** Reads the page after `last`, the last row of the page before; undefined = the first page. */
type ReadPage<One extends Row = Row> = (last: One | undefined) => Promise<One[]>;

interface ExportOptions {
  readonly signal?: AbortSignal | undefined;
  readonly maxListRows?: number;
  readonly maxBytes?: number;
}

/** What the lists may still take. */
interface Budget {
  readonly maxListRows: number;
  leftBytes: number;
}

/** Returns everything stored about the user as one JSON document; null if the user does not exist or was deleted. */
export async function exportUser(
  models: PrismaModels,
  userId: string,
  { signal, maxListRows = MAX_LIST_ROWS, maxBytes = MAX_BYTES }: ExportOptions = {},
): Promise<Record<string, unknown> | null> {
  const user = await models.user.findUnique({ where: { id: userId } });
  if (user === null || user.deletedAt !== null) return null;
  const document: Record<string, unknown> = {
    format: "skywork-export-1",
    exportedAt: new Date().toISOString(),
    user: toPlainRow(user),
  };
  const incomplete: string[] = [];
  const budget = { maxListRows, leftBytes: maxBytes };
  // One list after another, so that an export runs one statement at a time, however much there is.
  for (const [name, pages] of Object.entries(createLists(models, userId))) {
    const { rows, whole } = await collect(pages, budget, signal);
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
  budget: Budget,
  signal: AbortSignal | undefined,
): Promise<{ rows: Row[]; whole: boolean }> {
  const rows: Row[] = [];
  signal?.throwIfAborted();
  for await (const page of pages) {
    for (const row of page.map(toPlainRow)) {
      const bytes = Buffer.byteLength(JSON.stringify(row)) + ",".length;
      if (rows.length === budget.maxListRows || bytes > budget.leftBytes)
        return { rows, whole: false };
      budget.leftBytes -= bytes;
      rows.push(row);
    }
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

/**
 * A filter for rows after `last` in order of creation. The id breaks ties. Every list that grows with use has an index
 * in this order, or each page would sort the whole list.
 */
function afterRow(last: Row | undefined) {
  if (last === undefined) return {};
  const { createdAt, id } = last as { createdAt: Date; id: string };
  return {
    createdAt: { gte: createdAt },
    OR: [{ createdAt: { gt: createdAt } }, { id: { gt: id } }],
  };
}

/** A filter for holds after `last`, ordered by status and id, which is the order of their index. */
function afterHold(last: Row | undefined) {
  if (last === undefined) return {};
  const { status, id } = last as { status: string; id: string };
  return { OR: [{ status: { gt: status } }, { status, id: { gt: id } }] };
}

/** The lists that grow with every use come last, so that they are the ones cut off when the space runs out. */
function createLists(
  models: PrismaModels,
  userId: string,
): Readonly<Record<string, AsyncIterable<Row[]>>> {
  const inOrder = () => [{ createdAt: "asc" as const }, { id: "asc" as const }];
  const page = (last: Row | undefined) => ({
    where: { userId, ...afterRow(last) },
    orderBy: inOrder(),
    take: PAGE_ROWS,
  });
  return {
    identities: pagesOf((last) => models.identity.findMany(page(last))),
    // The Prisma client itself omits token hashes (CLIENT_OPTIONS).
    sessions: pagesOf((last) => models.session.findMany(page(last))),
    checkouts: pagesOf((last) => models.checkout.findMany(page(last))),
    payments: pagesOf((last) => models.payment.findMany(page(last))),
    subscriptions: pagesOf((last) => models.subscription.findMany(page(last))),
    auditLogs: auditPages(models, userId),
    // What the user did to others as an administrator, but not to whom, which is those others' data.
    auditLogsAsActor: pagesOf((last) =>
      models.auditLog.findMany({
        ...page(last),
        where: { actorId: userId, NOT: aboutAccount(userId), ...afterRow(last) },
        select: AUDIT_LINE,
      }),
    ),
    creditGrants: pagesOf(async (last) => {
      const rows = await models.creditGrant.findMany(page(last));
      return rows.map((row) => withoutOthers(row, row.source));
    }),
    creditLogs: pagesOf(async (last) => {
      const rows = await models.creditLog.findMany({
        where: { userId, seq: { gt: Number(last?.["seq"] ?? 0) } },
        orderBy: { seq: "asc" },
        take: PAGE_ROWS,
      });
      return rows.map((row) => withoutOthers(row, row.type));
    }),
    aiRuns: pagesOf((last) => models.aiRun.findMany(page(last))),
    usageLogs: pagesOf((last) => models.usageLog.findMany(page(last))),
    // ACTIVE sorts first, so a hold that ends meanwhile may be listed twice but is never missed.
    creditHolds: pagesOf((last) =>
      models.creditHold.findMany({
        where: { userId, ...afterHold(last) },
        orderBy: [{ status: "asc" }, { id: "asc" }],
        take: PAGE_ROWS,
      }),
    ),
    idempotencyKeys: pagesOf((last) =>
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
    ),
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
