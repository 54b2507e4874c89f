// The contract of the `admin` procedures. Every write is recorded in the audit log.
import { z } from "zod";
import { role } from "./auth.ts";
import { historyLine } from "./credit.ts";
import { paymentLine, paymentState } from "./payment.ts";
import {
  credits,
  currency,
  cursor,
  id,
  idempotencyKey,
  isoDate,
  limit,
  minorUnits,
  plainText,
  text,
  stripeId,
} from "./primitives.ts";
import { mutation, query } from "./procedure.ts";

export const EVENT_STATES = ["PENDING", "PROCESSED", "IGNORED", "FAILED"] as const;
export const eventState = z.enum(EVENT_STATES);
/** One of EVENT_STATES. */
export type EventState = z.infer<typeof eventState>;

const userLine = z.object({
  id,
  email: z.string(),
  name: z.string().nullable(),
  role,
  credits,
  held: credits,
  disabledAt: isoDate.nullable(),
  deletedAt: isoDate.nullable(),
  createdAt: isoDate,
});

export const adminContract = {
  users: query({
    input: z
      .strictObject({
        search: text().trim().max(200).optional(),
        role: role.optional(),
        limit,
        cursor,
      })
      .prefault({}),
    output: z.object({
      users: z.array(userLine),
      nextCursor: z.string().nullable(),
    }),
  }),
  user: query({
    /** `historyCursor`: the previous page's `history.nextCursor`; without it, the newest entries are returned. */
    input: z.strictObject({ userId: id, historyCursor: cursor }),
    output: z.object({
      user: userLine,
      history: z.object({ logs: z.array(historyLine), nextCursor: z.string().nullable() }),
      grants: z.array(
        z.object({
          id,
          source: z.string(),
          amount: credits,
          remaining: credits,
          expiresAt: isoDate.nullable(),
        }),
      ),
      payments: z.array(paymentLine),
      subscription: z
        .object({ planId: id, status: z.string(), currentPeriodEnd: isoDate })
        .nullable(),
      audit: z.array(
        z.object({
          id,
          actorId: id.nullable(),
          action: z.string(),
          reason: z.string().nullable(),
          createdAt: isoDate,
        }),
      ),
    }),
  }),
  adjustCredits: mutation({
    input: z.strictObject({
      userId: id,
      amount: z
        .int()
        .min(-1_000_000_000)
        .max(1_000_000_000)
        .refine((value) => value !== 0, { error: "0 changes nothing." }),
      reason: plainText(500),
      idempotencyKey,
      expiresAt: isoDate.optional(),
    }),
    output: z.object({
      transactionId: id,
      balance: credits,
      replayed: z.boolean(),
    }),
  }),
  setRole: mutation({
    input: z.strictObject({
      userId: id,
      role,
      reason: plainText(500).optional(),
    }),
    output: z.object({ user: userLine }),
  }),
  disableUser: mutation({
    input: z.strictObject({ userId: id, reason: plainText(500).optional() }),
    output: z.object({ user: userLine }),
  }),
  enableUser: mutation({
    input: z.strictObject({ userId: id, reason: plainText(500).optional() }),
    output: z.object({ user: userLine }),
  }),
  refundPayment: mutation({
    input: z.strictObject({
      paymentId: id,
      amount: z.int().min(1).max(2_147_483_647).optional(),
      idempotencyKey,
      reason: plainText(500).optional(),
    }),
    output: z.object({
      refundId: stripeId,
      status: z.string(),
      paymentStatus: paymentState,
      refundedAmount: minorUnits,
    }),
  }),
  events: query({
    input: z.strictObject({ status: eventState.optional(), limit, cursor }).prefault({}),
    output: z.object({
      events: z.array(
        z.object({
          id: stripeId,
          type: z.string(),
          status: eventState,
          objectId: z.string().nullable(),
          attempts: z.int(),
          lastError: z.string().nullable(),
          createdAt: isoDate,
          receivedAt: isoDate,
          processedAt: isoDate.nullable(),
        }),
      ),
      nextCursor: z.string().nullable(),
    }),
  }),
  replayEvent: mutation({
    input: z.strictObject({ eventId: stripeId }),
    output: z.object({
      eventId: stripeId,
      status: eventState,
      lastError: z.string().nullable(),
    }),
  }),
  stats: query({
    input: z.strictObject({ from: isoDate.optional(), to: isoDate.optional() }).prefault({}),
    output: z.object({
      from: isoDate,
      to: isoDate,
      users: z.object({ total: z.int(), created: z.int(), disabled: z.int() }),
      credits: z.object({
        granted: credits,
        spent: credits,
        outstanding: credits,
      }),
      payments: z.array(
        z.object({
          currency,
          count: z.int(),
          amount: minorUnits,
          refundedAmount: minorUnits,
        }),
      ),
      subscriptions: z.object({ live: z.int() }),
      events: z.object({ pending: z.int(), failed: z.int() }),
    }),
  }),
};
