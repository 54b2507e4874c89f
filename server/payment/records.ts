// Owns reading what was stored: payment history, a checkout's outcome, the list of events.
import { z } from "zod";
import { type EventState, eventState } from "../../shared/src/admin.ts";
import { type PaymentState, paymentState } from "../../shared/src/payment.ts";
import type { PrismaModels } from "../database/ports.ts";
import { AppError } from "../lib/errors.ts";

/** A stored payment status as the contract's. */
export function stateOf(status: string): PaymentState {
  return paymentState.parse(status);
}

const place = z.strictObject({ at: z.iso.datetime(), id: z.string().min(1).max(255) });

/** Where a page of events ended, as an opaque cursor. */
function cursorOf(row: { receivedAt: Date; id: string }): string {
  return Buffer.from(JSON.stringify({ at: row.receivedAt.toISOString(), id: row.id })).toString(
    "base64url",
  );
}

function placeOf(cursor: string): { at: Date; id: string } {
  try {
    const { at, id } = place.parse(JSON.parse(Buffer.from(cursor, "base64url").toString("utf8")));
    return { at: new Date(at), id };
  } catch {
    throw AppError.of("VALIDATION_FAILED", "Use the cursor as the server gave it.", {
      fields: { cursor: ["Use the cursor as the server gave it."] },
    });
  }
}

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

/** Without the invoice's lines, which are as long as Stripe made them. */
const PAYMENT_LINE = {
  id: true,
  amount: true,
  currency: true,
  status: true,
  creditsPurchased: true,
  refundedAmount: true,
  createdAt: true,
} as const;

interface EventRow {
  id: string;
  type: string;
  status: string;
  objectId: string | null;
  attempts: number;
  lastError: string | null;
  createdAt: Date;
  receivedAt: Date;
  processedAt: Date | null;
}

function eventLine(row: EventRow) {
  return {
    id: row.id,
    type: row.type,
    status: eventState.parse(row.status),
    objectId: row.objectId,
    attempts: row.attempts,
    lastError: row.lastError,
    createdAt: row.createdAt.toISOString(),
    receivedAt: row.receivedAt.toISOString(),
    processedAt: row.processedAt?.toISOString() ?? null,
  };
}

/** Makes the reading part. */
export function createRecords(models: PrismaModels) {
  return {
    /** One user's payments, newest first. */
    history: async (userId: string, { limit, offset = 0 }: { limit: number; offset?: number }) => {
      const where = { userId };
      const total = await models.payment.count({ where });
      // Nothing is skipped over for a page that lies behind the last row.
      const rows =
        offset >= total
          ? []
          : await models.payment.findMany({
              where,
              orderBy: [{ createdAt: "desc" }, { id: "desc" }],
              take: limit,
              skip: offset,
              select: PAYMENT_LINE,
            });
      const payments = rows.map((row) => ({
        id: row.id,
        amount: row.amount,
        currency: row.currency,
        status: stateOf(row.status),
        creditsPurchased: row.creditsPurchased,
        refundedAmount: row.refundedAmount,
        createdAt: row.createdAt.toISOString(),
      }));
      return { payments, total, limit, offset };
    },

    /** What a checkout's payment came to, and the user's balance. */
    outcome: async (paymentId: string, userId: string) => {
      const [payment, user] = await Promise.all([
        models.payment.findUnique({ where: { id: paymentId } }),
        models.user.findUnique({ where: { id: userId }, select: { credits: true } }),
      ]);
      return {
        status: stateOf(payment?.status ?? "PENDING"),
        creditsAdded: payment?.paidAt ? payment.creditsPurchased : 0,
        balance: user?.credits ?? 0,
      };
    },

    /** Events, newest first, a page after `cursor`. Throws VALIDATION_FAILED for a forged cursor. */
    events: async (input: { status?: EventState; limit: number; cursor?: string }) => {
      const after = input.cursor === undefined ? null : placeOf(input.cursor);
      const rows = await models.stripeEvent.findMany({
        where: {
          ...(input.status === undefined ? {} : { status: input.status }),
          ...(after === null
            ? {}
            : {
                // The range the index is read by; the alternatives alone would be looked for row by row.
                receivedAt: { lte: after.at },
                OR: [
                  { receivedAt: { lt: after.at } },
                  { receivedAt: after.at, id: { lt: after.id } },
                ],
              }),
        },
        orderBy: [{ receivedAt: "desc" }, { id: "desc" }],
        take: input.limit + 1,
        select: EVENT_LINE,
      });
      const page = rows.slice(0, input.limit);
      const last = page.at(-1);
      const nextCursor = rows.length > input.limit && last !== undefined ? cursorOf(last) : null;
      return { events: page.map(eventLine), nextCursor };
    },

    /** One event after a replay. Throws NOT_FOUND. */
    event: async (eventId: string) => {
      const row = await models.stripeEvent.findUnique({ where: { id: eventId } });
      if (row === null) throw AppError.of("NOT_FOUND", "There is no such event.");
      return { eventId, status: eventState.parse(row.status), lastError: row.lastError };
    },

    eventBacklog: async () => {
      const [pending, failed] = await Promise.all([
        models.stripeEvent.count({ where: { status: "PENDING" } }),
        models.stripeEvent.count({ where: { status: "FAILED" } }),
      ]);
      return { pending, failed };
    },
  };
}
