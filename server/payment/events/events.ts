// Stripe's events: stored under their own id, their effect committed with them, failures recorded and retried.
import { jitteredMs } from "../../lib/backoff.ts";
import { isAppError, notFound } from "../../lib/errors.ts";
import { createScrub } from "../../lib/scrub.ts";
import { DAY_MS, HOUR_MS } from "../../lib/time.ts";
import type {
  EventReceipt,
  PaymentAdminOutput,
  StoredEvent,
  StoredNotice,
} from "../payment.types.ts";
import { refusalOf } from "../stripe/errors.ts";
import type { StripeEventNotice } from "../stripe/port.ts";
import type { CommitWith, SyncDeps } from "../sync/apply-sync.ts";
import { syncWithStripe } from "../sync/sync.ts";
import { isHandled, toSyncTarget } from "./handled-events.ts";

/** Dependencies of event handling. */
export interface EventDeps extends SyncDeps {
  /** Concurrent runs of one event id share a promise on this instance; across instances the database decides. */
  readonly eventsInProgress: Map<string, Promise<"settled" | "failed">>;
}

/** The outcome of recovering an event. */
export type Recovered =
  | { readonly outcome: "known" | "settled" }
  | { readonly outcome: "failed"; readonly reason: string };

/**
 * Stripe retries an event for three days and keeps it for 30. We retry for 30 days too, however often it failed:
 * a maximum of attempts would be used up by deliveries and reconciles before the cause is fixed. After that it
 * waits for a manual replay.
 */
const RETRIED_FOR_MS = 30 * DAY_MS;
const FIRST_RETRY_MS = 30_000;
const LAST_RETRY_MS = 6 * HOUR_MS;
const FIRST_UNKNOWN_RETRY_MS = 300_000;
const RETRY_BATCH = 100;
const MAX_REASON_LENGTH = 1_000;

/** Stripe's error texts may contain a key, and the row is kept for months. */
const scrub = createScrub();

/** The webhook: verifies, stores and processes one delivery. Returns once the effect is stored. Never throws. */
export async function receiveEvent(
  deps: EventDeps,
  rawBody: Buffer,
  signatureHeader: string | null,
): Promise<EventReceipt> {
  const verified = deps.stripe.verifyEvent(rawBody, signatureHeader, deps.now());
  if (!verified.ok) return { outcome: "refused", reason: verified.reason };
  const { event } = verified;
  if (isHandled(event.type) && (event.objectId === null || event.objectType === null))
    return { outcome: "refused", reason: "The event's object has no id or no type." };
  try {
    if (isCompleted(await storeEvent(deps, event))) return { outcome: "known" };
    if ((await processEvent(deps, event.id, event)) === "failed")
      return { outcome: "retry", reason: "The event failed." };
    return { outcome: toSyncTarget(event) === null ? "ignored" : "processed" };
  } catch (error) {
    deps.logger.error({ err: error, eventId: event.id }, "event not stored");
    return { outcome: "retry", reason: "The event could not be stored." };
  }
}

/** Stores an event found at Stripe and processes it. Returns `known` if it was already completed. */
export async function recoverEvent(deps: EventDeps, notice: StripeEventNotice): Promise<Recovered> {
  if (isCompleted(await storeEvent(deps, notice))) return { outcome: "known" };
  if ((await processEvent(deps, notice.id, notice)) === "settled") return { outcome: "settled" };
  const event = await deps.store.events.find(notice.id);
  // Another instance tried it at the same time and succeeded.
  if (isCompleted(event)) return { outcome: "known" };
  return { outcome: "failed", reason: event?.lastError ?? "unknown failure" };
}

/** Processes a stored event again, whatever its state. Throws NOT_FOUND. */
export async function replayEvent(
  deps: EventDeps,
  eventId: string,
): Promise<PaymentAdminOutput<"replayEvent">> {
  const event = await deps.store.events.find(eventId);
  if (event === null) throw notFound("event");
  await processEvent(deps, eventId, event.notice);
  const after = await deps.store.events.find(eventId);
  if (after === null) throw notFound("event");
  return { eventId, status: after.status, lastError: after.lastError };
}

/** Job: retries all events that are due, until `signal` aborts. Returns how many were settled. */
export async function retryDueEvents(deps: EventDeps, signal?: AbortSignal): Promise<number> {
  const dueBy = new Date(deps.now());
  const tried = new Set<string>();
  let settled = 0;
  for (;;) {
    const due = await deps.store.events.due(dueBy, RETRY_BATCH);
    const untried = due.filter(({ id }) => !tried.has(id));
    for (const { id, notice } of untried) {
      if (signal?.aborted) return settled;
      tried.add(id);
      if ((await processEvent(deps, id, notice)) === "settled") settled += 1;
    }
    // An event that fails again is due later; one that another instance is processing may still be listed.
    if (due.length < RETRY_BATCH || untried.length === 0) return settled;
  }
}

function isCompleted(event: StoredEvent | null): boolean {
  return event?.status === "PROCESSED" || event?.status === "IGNORED";
}

/** Stores the notice. Returns the existing event if it was already stored, otherwise null. */
async function storeEvent(
  { store, now }: EventDeps,
  notice: StripeEventNotice,
): Promise<StoredEvent | null> {
  const known = await store.events.find(notice.id);
  if (known !== null) return known;
  const nowMs = now();
  await store.events.create(notice, {
    receivedAt: new Date(nowMs),
    // If this process dies now, the job takes over.
    nextAttemptAt: new Date(nowMs + FIRST_RETRY_MS),
  });
  return null;
}

function processEvent(
  deps: EventDeps,
  eventId: string,
  notice: StoredNotice,
): Promise<"settled" | "failed"> {
  const { eventsInProgress } = deps;
  const running = eventsInProgress.get(eventId);
  if (running !== undefined) return running;
  const started = processOnce(deps, eventId, notice).finally(() =>
    eventsInProgress.delete(eventId),
  );
  eventsInProgress.set(eventId, started);
  return started;
}

async function processOnce(
  deps: EventDeps,
  eventId: string,
  notice: StoredNotice,
): Promise<"settled" | "failed"> {
  const complete: CommitWith = async (tx, result) => {
    const nowMs = deps.now();
    const isUnknown = result.outcome === "ignored" && result.isUnknown;
    const event = isUnknown ? await tx.events.find(eventId) : null;
    await tx.events.complete(eventId, {
      ignoredBecause: result.outcome === "ignored" ? result.reason : null,
      nextAttemptAt: event && nextUnknownRetry(event, nowMs),
      processedAt: new Date(nowMs),
    });
  };
  try {
    const target = toSyncTarget(notice);
    if (target !== null) await syncWithStripe(deps, target, complete);
    else
      await deps.store.transaction((tx) =>
        complete(tx, {
          outcome: "ignored",
          reason: "This type means nothing here.",
          isUnknown: false,
        }),
      );
    return "settled";
  } catch (error) {
    deps.logger.error({ err: error, eventId, type: notice.type }, "event failed");
    await keepFailure(deps, eventId, reasonOf(error));
    return "failed";
  }
}

async function keepFailure(
  { store, logger, now }: EventDeps,
  eventId: string,
  reason: string,
): Promise<void> {
  try {
    const event = await store.events.find(eventId);
    if (event === null || (isCompleted(event) && !event.isUnknown)) return;
    const attempts = event.attempts + 1;
    const nextMs = now() + retryDelayMs(attempts);
    await store.events.fail(eventId, {
      attempts,
      lastError: scrub(reason),
      nextAttemptAt: nextMs > event.receivedAt.getTime() + RETRIED_FOR_MS ? null : new Date(nextMs),
    });
  } catch (error) {
    // The database is unavailable too. Stripe gets a 5xx and sends the event again.
    logger.error({ err: error, eventId }, "event failure not stored");
  }
}

/**
 * When to retry an event whose object Stripe did not know; null after 30 days. With the key of another account Stripe
 * knows none of our objects, so this is not final. A deleted object never returns, so each retry waits until the event
 * is twice as old: at least five minutes, at most a day.
 */
function nextUnknownRetry({ receivedAt }: StoredEvent, nowMs: number): Date | null {
  const ageMs = nowMs - receivedAt.getTime();
  if (ageMs > RETRIED_FOR_MS) return null;
  return new Date(nowMs + Math.min(Math.max(ageMs, FIRST_UNKNOWN_RETRY_MS), DAY_MS));
}

/** Returns the milliseconds until the next attempt after `attempts`, with ±25 % jitter, at most six hours. */
export function retryDelayMs(attempts: number, random = Math.random()): number {
  const fullMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** attempts);
  return Math.min(LAST_RETRY_MS, Math.round(jitteredMs(fullMs, random)));
}

/** The reason stored in the event's row, without secrets or personal data. */
function reasonOf(error: unknown): string {
  const refusal = refusalOf(error);
  if (refusal !== null)
    return `Stripe ${refusal.refusal}: ${refusal.call}`.slice(0, MAX_REASON_LENGTH);
  if (isAppError(error)) return `${error.code}: ${error.message}`.slice(0, MAX_REASON_LENGTH);
  return error instanceof Error ? error.name.slice(0, MAX_REASON_LENGTH) : "unknown failure";
}
