// Owns what administrators look at: users, one user, figures. Every read is bounded.
import type { z } from "zod";
import type { adminContract } from "../../shared/src/admin.ts";
import { toRole } from "../auth/user-view.ts";
import type { PrismaModels } from "../database/ports.ts";
import { AppError } from "../lib/errors.ts";
import type { AdminStore, UserLine } from "./admin.service.ts";

type Filter = z.output<(typeof adminContract)["users"]["input"]>;
type UserDetail = Awaited<ReturnType<AdminStore["user"]>>;
type Stats = Awaited<ReturnType<AdminStore["stats"]>>;

/** A search reads rows in order and compares here: no wildcard of the database's ever sees the caller's text. */
const SEARCH_CHUNK = 1_000;
/** Rows one search call looks at; `nextCursor` goes on from there. */
const SEARCH_ROWS = 20_000;
const MAX_DETAIL_ROWS = 100;

/** A users row as administrators see it. */
export function toUserLine(row: {
  id: string;
  email: string;
  name: string | null;
  role: string;
  credits: number;
  heldCredits: number;
  disabledAt: Date | null;
  deletedAt: Date | null;
  createdAt: Date;
}): UserLine {
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

interface Place {
  createdAt: Date;
  id: string;
}

const toCursor = (place: Place) => `${place.createdAt.getTime()}_${place.id}`;

function fromCursor(cursor: string): Place {
  const parts = /^(\d{1,15})_([A-Za-z0-9_-]{1,64})$/.exec(cursor);
  const createdAt = new Date(Number(parts?.[1]));
  if (parts?.[2] === undefined || Number.isNaN(createdAt.getTime())) {
    throw AppError.of("VALIDATION_FAILED", "Use the cursor as the server gave it.", {
      fields: { cursor: ["Not a cursor of this list."] },
    });
  }
  return { createdAt, id: parts[2] };
}

/** One page of users after `place`, newest first. */
function page(models: PrismaModels, role: string | undefined, place: Place | null, take: number) {
  return models.user.findMany({
    where: {
      ...(role === undefined ? {} : { role }),
      ...(place === null
        ? {}
        : {
            createdAt: { lte: place.createdAt },
            OR: [{ createdAt: { lt: place.createdAt } }, { id: { lt: place.id } }],
          }),
    },
    orderBy: [{ createdAt: "desc" }, { id: "desc" }],
    take,
  });
}

/** AdminStore.users. `search`: an id, or a part of e-mail or name in any case. */
export async function readUsers(
  models: PrismaModels,
  filter: Filter,
): Promise<{ users: UserLine[]; nextCursor: string | null }> {
  const { role, limit } = filter;
  const place = filter.cursor === undefined ? null : fromCursor(filter.cursor);
  const search = filter.search?.toLowerCase() ?? "";
  if (search === "") {
    const rows = await page(models, role, place, limit + 1);
    const shown = rows.slice(0, limit);
    const last = rows.length > limit ? shown.at(-1) : undefined;
    return { users: shown.map(toUserLine), nextCursor: last ? toCursor(last) : null };
  }
  return searchUsers(models, { search, role, limit, place });
}

async function searchUsers(
  models: PrismaModels,
  wanted: { search: string; role: string | undefined; limit: number; place: Place | null },
): Promise<{ users: UserLine[]; nextCursor: string | null }> {
  const { search, role, limit } = wanted;
  if (wanted.place === null) {
    // Who is named exactly is found at once, however many newer accounts there are.
    const exact = await models.user.findFirst({
      where: { OR: [{ id: search }, { email: search }], ...(role === undefined ? {} : { role }) },
    });
    if (exact !== null) return { users: [toUserLine(exact)], nextCursor: null };
  }
  const users: UserLine[] = [];
  let place = wanted.place;
  for (let seen = 0; seen < SEARCH_ROWS; seen += SEARCH_CHUNK) {
    const rows = await page(models, role, place, SEARCH_CHUNK);
    for (const row of rows) {
      place = row;
      if (
        ![row.id, row.email, row.name ?? ""].some((text) => text.toLowerCase().includes(search))
      ) {
        continue;
      }
      users.push(toUserLine(row));
      if (users.length === limit) return { users, nextCursor: toCursor(row) };
    }
    if (rows.length < SEARCH_CHUNK) return { users, nextCursor: null };
  }
  return { users, nextCursor: place === null ? null : toCursor(place) };
}

/** AdminStore.user. */
export async function readUser(models: PrismaModels, userId: string): Promise<UserDetail> {
  const user = await models.user.findUnique({ where: { id: userId } });
  if (user === null) throw AppError.of("NOT_FOUND", "There is no such user.");
  const newest = { orderBy: { createdAt: "desc" }, take: MAX_DETAIL_ROWS } as const;
  const [grants, payments, subscription, audit] = await Promise.all([
    models.creditGrant.findMany({ where: { userId, isOpen: true }, ...newest }),
    models.payment.findMany({ where: { userId }, ...newest }),
    models.subscription.findFirst({ where: { userId }, orderBy: { createdAt: "desc" } }),
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

/** AdminStore.stats: what happened in [from, to), and what is there now. */
export async function readStats(models: PrismaModels, from: Date, to: Date): Promise<Stats> {
  const createdAt = { gte: from, lt: to };
  const [total, created, disabled, granted, spent, outstanding, payments, live, pending, failed] =
    await Promise.all([
      models.user.count({ where: { deletedAt: null } }),
      models.user.count({ where: { createdAt } }),
      models.user.count({ where: { disabledAt: { not: null }, deletedAt: null } }),
      models.creditLog.aggregate({
        where: { createdAt, amount: { gt: 0 } },
        _sum: { amount: true },
      }),
      models.creditLog.aggregate({
        where: { createdAt, type: "USAGE" },
        _sum: { amount: true },
      }),
      models.user.aggregate({ where: { credits: { gt: 0 } }, _sum: { credits: true } }),
      models.payment.groupBy({
        by: ["currency"],
        where: {
          createdAt,
          status: { in: ["SUCCESS", "REFUNDED", "PARTIALLY_REFUNDED", "DISPUTED"] },
        },
        _count: { _all: true },
        _sum: { amount: true, refundedAmount: true },
        orderBy: { currency: "asc" },
      }),
      models.subscription.count({ where: { liveKey: { not: null } } }),
      models.stripeEvent.count({ where: { status: "PENDING" } }),
      models.stripeEvent.count({ where: { status: "FAILED" } }),
    ]);
  return {
    users: { total, created, disabled },
    credits: {
      granted: granted._sum.amount ?? 0,
      spent: Math.abs(spent._sum.amount ?? 0),
      outstanding: outstanding._sum.credits ?? 0,
    },
    payments: payments.map((group) => ({
      currency: group.currency,
      count: group._count._all,
      amount: group._sum.amount ?? 0,
      refundedAmount: group._sum.refundedAmount ?? 0,
    })),
    subscriptions: { live },
    events: { pending, failed },
  };
}
