// Owns Stripe's events: stored under their own id, their effect committed with them, failures kept and tried again.
import type { DatabaseTransaction } from "../../database/ports.ts";
import { AppError, isAppError } from "../../lib/errors.ts";
import type { Fulfilment, Purchase } from "../sync/sync.ts";
import type { EventReceipt } from "../payment.types.ts";
import type { StripeEventNotice } from "../stripe/port.ts";
import { refusalOf } from "../stripe/errors.ts";
import type { PaymentDeps, SyncResult } from "../sync/sync-transaction.ts";
import { createScrub } from "../../lib/scrub.ts";

/** What Stripe says in an error may repeat a key; the row is kept for months. */
const scrub = createScrub();

/** Every type that means something here, for the webhook's settings and for reconcile's list. */
export const HANDLED_EVENTS = [
  "checkout.session.completed",
  "checkout.session.async_payment_succeeded",
  "checkout.session.async_payment_failed",
  "checkout.session.expired",
  "invoice.paid",
  "invoice.payment_failed",
  "customer.subscription.created",
  "customer.subscription.updated",
  "customer.subscription.deleted",
  "subscription_schedule.updated",
  "credit_note.created",
  "credit_note.updated",
  "credit_note.voided",
  "charge.refunded",
  "refund.created",
  "refund.updated",
  "refund.failed",
  "charge.dispute.created",
  "charge.dispute.updated",
  "charge.dispute.closed",
] as const;

const HANDLED: ReadonlySet<string> = new Set([
  ...HANDLED_EVENTS,
  // Each comes with another one of the list, which a look back asks for at most twenty types.
  "invoice.payment_succeeded",
  "invoice.voided",
  "invoice.marked_uncollectible",
  "charge.refund.updated",
  "subscription_schedule.created",
  "subscription_schedule.released",
  "subscription_schedule.canceled",
  "subscription_schedule.completed",
  "subscription_schedule.aborted",
  "customer.subscription.paused",
  "customer.subscription.resumed",
  "charge.dispute.funds_withdrawn",
  "charge.dispute.funds_reinstated",
]);

/** An event as kept: the ids needed to look again, and nothing about the person. */
export type StoredNotice = Pick<
  StripeEventNotice,
  "type" | "objectId" | "objectType" | "paymentIntentId" | "chargeId"
>;

/** What an event tells to look at; null when it means nothing here. */
export function purchaseOf(notice: StoredNotice): Purchase | null {
  if (!HANDLED.has(notice.type) || notice.objectId === null) return null;
  const { objectId, objectType } = notice;
  switch (objectType) {
    case "checkout.session":
      return { kind: "checkout", sessionId: objectId };
    case "invoice":
      return { kind: "invoice", invoiceId: objectId };
    case "subscription":
      return { kind: "subscription", subscriptionId: objectId };
    case "subscription_schedule":
      return { kind: "schedule", scheduleId: objectId };
    case "credit_note":
      return { kind: "creditNote", creditNoteId: objectId };
    case "charge":
    case "refund":
    case "dispute": {
      if (notice.paymentIntentId !== null)
        return { kind: "moneyBack", paymentIntentId: notice.paymentIntentId };
      return notice.chargeId === null ? null : { kind: "charge", chargeId: notice.chargeId };
    }
    default:
      return null;
  }
}

/** Stripe stops after three days; our own tries go on a little longer, then wait for reconcile or a person. */
const MAX_ATTEMPTS = 20;
const FIRST_RETRY_MS = 30_000;
const LAST_RETRY_MS = 6 * 3_600_000;

/** Milliseconds until the next attempt after `attempts`; null when there is none. */
export function backoffMs(attempts: number, random = Math.random()): number | null {
  if (attempts >= MAX_ATTEMPTS) return null;
  const full = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempts, 12));
  return Math.round(full * (0.75 + random / 2));
}

/** Words for the event's row, without secrets or personal data. */
function reasonOf(error: unknown): string {
  const refusal = refusalOf(error);
  if (refusal !== null) return `Stripe ${refusal.refusal}: ${refusal.call}`.slice(0, 1000);
  if (isAppError(error)) return `${error.code}: ${error.message}`.slice(0, 1000);
  return error instanceof Error ? error.name.slice(0, 1000) : "unknown failure";
}

/** What recovering an event came to. */
export type Recovered =
  | { readonly outcome: "known" | "settled" }
  | { readonly outcome: "failed"; readonly reason: string };

/** Handling events. */
export interface Events {
  receive(rawBody: Buffer, signatureHeader: string | null): Promise<EventReceipt>;
  /** Stores an event found at Stripe and processes it; `known` when it had been. */
  recover(notice: StripeEventNotice): Promise<Recovered>;
  /** Processes a stored event again, whatever its state. Throws NOT_FOUND. */
  replay(eventId: string): Promise<void>;
  /** Tries what is due again. Answers how many were settled. */
  retryDue(): Promise<number>;
  prune(): Promise<number>;
}

const RETRY_BATCH = 100;
const KEEP_MS = 90 * 86_400_000;

/** Makes the handling of events. */
export function createEvents(work: PaymentDeps, fulfilment: Fulfilment): Events {
  const { models } = work.database;
  // The same id many times at once is one piece of work on this instance; between instances the database decides.
  const running = new Map<string, Promise<"settled" | "failed">>();

  /** Stores the notice; answers the status it has when it was known. */
  async function store(notice: StripeEventNotice): Promise<string | null> {
    const known = await models.stripeEvent.findUnique({
      where: { id: notice.id },
      select: { status: true },
    });
    if (known !== null) return known.status;
    const now = new Date(work.now());
    const payload: StoredNotice = {
      type: notice.type,
      objectId: notice.objectId,
      objectType: notice.objectType,
      paymentIntentId: notice.paymentIntentId,
      chargeId: notice.chargeId,
    };
    // The loser of a race for the id goes on with the row of the winner.
    await models.stripeEvent
      .create({
        data: {
          id: notice.id,
          type: notice.type,
          status: "PENDING",
          objectId: notice.objectId,
          payload: JSON.stringify(payload),
          attempts: 0,
          // Should this process die now, the job takes over.
          nextAttemptAt: new Date(now.getTime() + FIRST_RETRY_MS),
          createdAt: notice.createdAt,
          receivedAt: now,
        },
      })
      .catch(async (error: unknown) => {
        const winner = await models.stripeEvent.findUnique({ where: { id: notice.id } });
        if (winner === null) throw error;
      });
    return null;
  }

  const mark = (eventId: string) => async (tx: DatabaseTransaction, settled: SyncResult) => {
    await tx.models.stripeEvent.update({
      where: { id: eventId },
      data: {
        status: settled.outcome === "done" ? "PROCESSED" : "IGNORED",
        lastError: settled.outcome === "ignored" ? settled.reason : null,
        attempts: { increment: 1 },
        nextAttemptAt: null,
        processedAt: new Date(work.now()),
      },
    });
  };

  async function processOnce(eventId: string, notice: StoredNotice): Promise<"settled" | "failed"> {
    try {
      const purchase = purchaseOf(notice);
      if (purchase !== null) await fulfilment.fulfil(purchase, mark(eventId));
      else
        await work.database.transaction((tx) =>
          mark(eventId)(tx, { outcome: "ignored", reason: "This type means nothing here." }),
        );
      return "settled";
    } catch (error) {
      work.logger.error({ err: error, eventId, type: notice.type }, "event failed");
      await keepFailure(eventId, reasonOf(error));
      return "failed";
    }
  }

  async function keepFailure(eventId: string, reason: string): Promise<void> {
    try {
      const row = await models.stripeEvent.findUnique({ where: { id: eventId } });
      if (row === null || row.status === "PROCESSED" || row.status === "IGNORED") return;
      const attempts = row.attempts + 1;
      const delayMs = backoffMs(attempts);
      await models.stripeEvent.updateMany({
        where: { id: eventId, status: { in: ["PENDING", "FAILED"] } },
        data: {
          status: "FAILED",
          attempts,
          lastError: scrub(reason),
          nextAttemptAt: delayMs === null ? null : new Date(work.now() + delayMs),
        },
      });
    } catch (error) {
      // The database is unavailable too: Stripe hears 5xx and sends the event again.
      work.logger.error({ err: error, eventId }, "event's failure not kept");
    }
  }

  function process(eventId: string, notice: StoredNotice): Promise<"settled" | "failed"> {
    const under = running.get(eventId);
    if (under !== undefined) return under;
    const started = processOnce(eventId, notice).finally(() => running.delete(eventId));
    running.set(eventId, started);
    return started;
  }

  const noticeOf = (row: { type: string; payload: string }): StoredNotice => ({
    ...(JSON.parse(row.payload) as StoredNotice),
    type: row.type,
  });

  return {
    receive: async (rawBody, signatureHeader) => {
      const verified = work.stripe.verifyEvent(rawBody, signatureHeader, work.now());
      if (!verified.ok) return { outcome: "refused", reason: verified.reason };
      const { event } = verified;
      if (HANDLED.has(event.type) && (event.objectId === null || event.objectType === null))
        return { outcome: "refused", reason: "The event's object has no id or no type." };
      try {
        const status = await store(event);
        if (status === "PROCESSED" || status === "IGNORED") return { outcome: "known" };
        const outcome = await process(event.id, event);
        if (outcome === "failed") return { outcome: "retry", reason: "The event failed." };
        return { outcome: purchaseOf(event) === null ? "ignored" : "processed" };
      } catch (error) {
        work.logger.error({ err: error, eventId: event.id }, "event not stored");
        return { outcome: "retry", reason: "The event could not be stored." };
      }
    },
    recover: async (notice) => {
      const status = await store(notice);
      if (status === "PROCESSED" || status === "IGNORED") return { outcome: "known" };
      if ((await process(notice.id, notice)) === "settled") return { outcome: "settled" };
      const row = await models.stripeEvent.findUnique({ where: { id: notice.id } });
      // Another instance was at it too, and had better luck.
      if (row?.status === "PROCESSED" || row?.status === "IGNORED") return { outcome: "known" };
      return { outcome: "failed", reason: row?.lastError ?? "unknown failure" };
    },
    replay: async (eventId) => {
      const row = await models.stripeEvent.findUnique({ where: { id: eventId } });
      if (row === null) throw AppError.of("NOT_FOUND", "There is no such event.");
      await process(eventId, noticeOf(row));
    },
    retryDue: async () => {
      const due = await models.stripeEvent.findMany({
        where: {
          status: { in: ["PENDING", "FAILED"] },
          nextAttemptAt: { lte: new Date(work.now()) },
        },
        orderBy: { nextAttemptAt: "asc" },
        take: RETRY_BATCH,
      });
      let settled = 0;
      for (const row of due) if ((await process(row.id, noticeOf(row))) === "settled") settled += 1;
      return settled;
    },
    prune: async () => {
      const { count } = await models.stripeEvent.deleteMany({
        where: { receivedAt: { lt: new Date(work.now() - KEEP_MS) } },
      });
      return count;
    },
  };
}
