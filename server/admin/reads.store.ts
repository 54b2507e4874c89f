// Reads lists of users and single users for administrators. Every read is bounded.
import { toRole } from "../auth/user-view.ts";
import type { Database, PrismaModels } from "../database/ports.ts";
import { decodeTimePlace, encodeTimePlace, type TimePlace } from "../lib/cursor.ts";
import { notFound } from "../lib/errors.ts";
import { asciiLowerCase } from "../lib/text.ts";
import type { AdminStore } from "./ports.ts";
import { newestAfter, type Search, searchUsers } from "./search.store.ts";
import type { AdminInput, AdminOutput, UserLine } from "./admin.types.ts";

type UserDetail = Awaited<ReturnType<AdminStore["user"]>>;

const MAX_DETAIL_ROWS = 100;

/** Reads only what is shown of a user. */
const USER_LINE = {
  id: true,
  email: true,
  name: true,
  role: true,
  credits: true,
  heldCredits: true,
  disabledAt: true,
  deletedAt: true,
  createdAt: true,
} as const;

type UserRow = Pick<
  NonNullable<Awaited<ReturnType<PrismaModels["user"]["findUnique"]>>>,
  keyof typeof USER_LINE
>;

/** Returns a users row as administrators see it. */
export function toUserLine(row: UserRow): UserLine {
  return {
    id: row.id,
    email: row.email,
    name: row.name,
    role: toRole(row.role),
    credits: row.credits,
    held: row.heldCredits,
    disabledAt: row.disabledAt?.toISOString() ?? null,
    deletedAt: row.deletedAt?.toISOString() ?? null,
    createdAt: row.createdAt.toISOString(),
  };
}

const toPlace = (row: { createdAt: Date; id: string }): TimePlace => ({
  at: row.createdAt,
  id: row.id,
});

/** AdminStore.users. `search` matches part of an id, e-mail or name, ignoring case. */
export async function readUsers(
  database: Database,
  filter: AdminInput<"users">,
): Promise<AdminOutput<"users">> {
  const { models } = database;
  const { role, limit } = filter;
  const place = filter.cursor === undefined ? null : decodeTimePlace(filter.cursor);
  const search = filter.search ?? "";
  if (search === "") {
    const rows = await models.user.findMany({
      ...newestAfter(role, place),
      take: limit + 1,
      select: USER_LINE,
    });
    const shown = rows.slice(0, limit);
    const last = rows.length > limit ? shown.at(-1) : undefined;
    return {
      users: shown.map(toUserLine),
      nextCursor: last ? encodeTimePlace(toPlace(last)) : null,
    };
  }
  return readFound(database, { text: search, role, limit, place });
}

async function readFound(database: Database, wanted: Search): Promise<AdminOutput<"users">> {
  const { models } = database;
  const { text, role } = wanted;
  if (wanted.place === null) {
    // An exact id or e-mail is found immediately, however many newer accounts there are.
    const exactly = asciiLowerCase(text);
    const exact = await models.user.findFirst({
      where: { OR: [{ id: exactly }, { email: exactly }], ...(role === undefined ? {} : { role }) },
      select: USER_LINE,
    });
    if (exact !== null) return { users: [toUserLine(exact)], nextCursor: null };
  }
  const { ids, next } = await searchUsers(database, wanted);
  return {
    users: await readLines(models, ids),
    nextCursor: next === null ? null : encodeTimePlace(next),
  };
}

/** Returns the users of `ids`, in that order. */
async function readLines(models: PrismaModels, ids: readonly string[]): Promise<UserLine[]> {
  if (ids.length === 0) return [];
  const rows = await models.user.findMany({ where: { id: { in: [...ids] } }, select: USER_LINE });
  const byId = new Map(rows.map((row) => [row.id, toUserLine(row)]));
  return ids.flatMap((id) => byId.get(id) ?? []);
}

/** AdminStore.user. */
export async function readUser(models: PrismaModels, userId: string): Promise<UserDetail> {
  const user = await models.user.findUnique({ where: { id: userId }, select: USER_LINE });
  if (user === null) throw notFound("user");
  const newest = { orderBy: { createdAt: "desc" }, take: MAX_DETAIL_ROWS } as const;
  const [grants, payments, subscription, audit] = await Promise.all([
    models.creditGrant.findMany({ where: { userId, isOpen: true }, ...newest }),
    models.payment.findMany({ where: { userId }, ...newest }),
    // The live one, if there is one: a duplicate that was ended may be newer. NULL is the lowest value in each database.
    models.subscription.findFirst({
      where: { userId },
      orderBy: [{ liveKey: "desc" }, { createdAt: "desc" }],
    }),
    models.auditLog.findMany({ where: { targetType: "user", targetId: userId }, ...newest }),
  ]);
  return {
    user: toUserLine(user),
    grants: grants.map(({ id, source, amount, remaining, expiresAt }) => ({
      id,
      source,
      amount,
      remaining,
      expiresAt: expiresAt?.toISOString() ?? null,
    })),
    payments: payments.map((payment) => ({
      id: payment.id,
      amount: payment.amount,
      currency: payment.currency,
      status: payment.status as UserDetail["payments"][number]["status"],
      creditsPurchased: payment.creditsPurchased,
      refundedAmount: payment.refundedAmount,
      createdAt: payment.createdAt.toISOString(),
    })),
    subscription:
      subscription === null
        ? null
        : {
            planId: subscription.planId,
            status: subscription.status,
            currentPeriodEnd: subscription.currentPeriodEnd.toISOString(),
          },
    audit: audit.map(({ id, actorId, action, reason, createdAt }) => ({
      id,
      actorId,
      action,
      reason,
      createdAt: createdAt.toISOString(),
    })),
  };
}
