// Delivers events to webhook endpoints: signature, timeout, retries with backoff, and misdelivery on request.
import { createHmac } from "node:crypto";
import type { Delivery, EventLog, LoggedEvent } from "./events.ts";
import { createSendQueue, type SendQueue } from "./send-queue.ts";
import type { WebhookEndpoint } from "../objects/types.ts";

/** Deliberate delivery failures. All off by default. */
export interface DeliveryMisbehaviour {
  /** Each event is sent this many extra times. */
  duplicate: number;
  /** Each event is sent this much later. */
  delayMs: number;
  /** Events are held until this many are waiting (or 300 ms pass), then sent in reverse order. 0 = off. */
  reorder: number;
  /** The next n events are never sent (they count as undelivered, so `events.list` finds them). */
  dropNext: number;
  /** The share of events (0..1) that are never sent. */
  dropShare: number;
  /** Each event is sent again under a second event id. */
  secondId: boolean;
  /** Nothing is sent until this is switched off. */
  paused: boolean;
  /** Added to the signature's timestamp. */
  signatureSkewSeconds: number;
  /** Only these event types are affected; empty = all. `paused` and `signatureSkewSeconds` affect every type. */
  types: string[];
}

export const WELL_BEHAVED: DeliveryMisbehaviour = {
  duplicate: 0,
  delayMs: 0,
  reorder: 0,
  dropNext: 0,
  dropShare: 0,
  secondId: false,
  paused: false,
  signatureSkewSeconds: 0,
  types: [],
};

export interface Deliverer {
  misbehaviour: DeliveryMisbehaviour;
  /** Sends a new event to every endpoint subscribed to it. */
  dispatch(event: LoggedEvent): void;
  /** Sends an event once more to each of its endpoints, whatever its state. Resolves when every attempt is over. */
  resend(event: LoggedEvent): Promise<void>;
  /** Queues the pending deliveries of a log loaded at the start. Later on they are queued already. */
  start(): void;
  /** Sends what was queued during a pause, once the pause is over. */
  resume(): void;
  /** Resolves when nothing is queued or in flight (scheduled retries do not count). */
  idle(): Promise<void>;
  close(): Promise<void>;
}

const REORDER_HOLD_MS = 300;
const ANSWER_TIMEOUT_MS = 10_000;

/** The `Stripe-Signature` header for a body; `timestamp` in unix seconds. */
export function signatureHeader(body: string, secret: string, timestamp: number): string {
  const v1 = createHmac("sha256", secret).update(`${timestamp}.${body}`).digest("hex");
  return `t=${timestamp},v1=${v1}`;
}

function isLoopback(hostname: string): boolean {
  const bare = hostname.replace(/^\[|\]$/g, "").toLowerCase();
  return bare === "localhost" || bare === "::1" || /^127(\.\d{1,3}){3}$/.test(bare);
}

/** The deliverer's dependencies. */
interface DelivererDeps {
  log: EventLog;
  endpoint(id: string): WebhookEndpoint | undefined;
  wallNow(): number;
  retryDelaysMs: number[];
  concurrency: number;
  allowHosts: string[];
  /** Decides which events `dropShare` drops; returns 0..1. */
  random: () => number;
  onChange(): void;
}

interface DelivererState extends DelivererDeps {
  misbehaviour: DeliveryMisbehaviour;
  queue: SendQueue;
  held: HeldBack;
}

/** Sends that `reorder` holds back until there are enough to send in reverse order. */
interface HeldBack {
  sends: (() => void)[];
  timer: NodeJS.Timeout | undefined;
}

/** Creates the deliverer. It only ever calls loopback addresses and `allowHosts`. */
export function createDeliverer(given: DelivererDeps): Deliverer {
  const held: HeldBack = { sends: [], timer: undefined };
  const misbehaviour = { ...WELL_BEHAVED };
  const queue = createSendQueue({
    concurrency: given.concurrency,
    isPaused: () => misbehaviour.paused,
    hasMore: () => held.sends.length > 0,
    onDone: () => given.onChange(),
  });
  const state: DelivererState = { ...given, misbehaviour, queue, held };
  return {
    misbehaviour,
    dispatch: (event) => {
      dispatch(state, event);
      if (misbehaviour.secondId && isAffected(misbehaviour, event))
        dispatch(state, given.log.copy(event));
    },
    resend: async (event) => {
      await Promise.all(event.deliveries.map((delivery) => attempt(state, event, delivery, false)));
      given.onChange();
    },
    start: () => {
      for (const event of given.log.events.values()) {
        for (const delivery of event.deliveries)
          if (delivery.state === "pending") enqueue(state, event, delivery);
      }
    },
    resume: () => queue.pump(),
    idle: () => queue.idle(),
    close: async () => {
      held.sends = [];
      clearTimeout(held.timer);
      await queue.close();
    },
  };
}

/** Makes one POST and records the outcome in `delivery`. */
async function post(
  { log, wallNow, allowHosts, misbehaviour, queue }: DelivererState,
  event: LoggedEvent,
  delivery: Delivery,
  endpoint: WebhookEndpoint,
): Promise<void> {
  // The endpoint may have moved since the event was recorded (a restart on another port).
  delivery.url = endpoint.url;
  delivery.attempts += 1;
  delivery.nextAttemptAt = null;
  const target = new URL(delivery.url);
  if (!isLoopback(target.hostname) && !allowHosts.includes(target.hostname)) {
    delivery.lastError = `The sandbox only calls loopback addresses, not ${target.hostname} (allowHosts).`;
    return;
  }
  const body = log.envelope(event);
  const timestamp = wallNow() + misbehaviour.signatureSkewSeconds;
  try {
    const answer = await fetch(target, {
      method: "POST",
      redirect: "manual",
      headers: {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Stripe-Signature": signatureHeader(body, endpoint.secret, timestamp),
      },
      body,
      signal: AbortSignal.any([queue.signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]),
    });
    delivery.lastStatus = answer.status;
    delivery.lastError = answer.ok ? null : (await answer.text()).slice(0, 300);
    if (answer.ok) {
      await answer.body?.cancel();
      delivery.state = "delivered";
    }
  } catch (error) {
    delivery.lastStatus = null;
    delivery.lastError = error instanceof Error ? `${error.name}: ${error.message}` : "failed";
  }
}

/** Posts once. On failure, schedules the next attempt if `retry` is set. */
async function attempt(
  state: DelivererState,
  event: LoggedEvent,
  delivery: Delivery,
  retry: boolean,
): Promise<void> {
  const endpoint = state.endpoint(delivery.endpointId);
  if (endpoint === undefined) {
    delivery.state = "failed";
    return;
  }
  await post(state, event, delivery, endpoint);
  if (delivery.state === "delivered" || !retry || state.queue.signal.aborted) return;
  const delayMs = state.retryDelaysMs[delivery.attempts - 1];
  if (delayMs === undefined) {
    delivery.state = "failed";
    return;
  }
  delivery.nextAttemptAt = Date.now() + delayMs;
  state.queue.later(delayMs, false, () => enqueue(state, event, delivery));
}

function enqueue(state: DelivererState, event: LoggedEvent, delivery: Delivery): void {
  state.queue.push(async () => {
    // It may have been sent on request while it waited.
    if (delivery.state !== "delivered") await attempt(state, event, delivery, true);
  });
  state.queue.pump();
}

function releaseHeld({ held, queue }: DelivererState): void {
  clearTimeout(held.timer);
  held.timer = undefined;
  const batch = held.sends.reverse();
  held.sends = [];
  for (const send of batch) send();
  queue.pump();
}

/** Sends an event to each of its endpoints, plus the extra copies of `duplicate`. */
function send(state: DelivererState, event: LoggedEvent): void {
  for (const delivery of event.deliveries) {
    enqueue(state, event, delivery);
    for (let i = 0; i < state.misbehaviour.duplicate; i += 1)
      state.queue.push(() => attempt(state, event, delivery, false));
  }
  state.queue.pump();
}

function isAffected({ types }: DeliveryMisbehaviour, event: LoggedEvent): boolean {
  return types.length === 0 || types.includes(event.type);
}

/** Sends a new event, applying the misbehaviour. */
function dispatch(state: DelivererState, event: LoggedEvent): void {
  const { misbehaviour, held, queue } = state;
  if (event.deliveries.length === 0) return;
  if (!isAffected(misbehaviour, event)) {
    for (const delivery of event.deliveries) enqueue(state, event, delivery);
    return;
  }
  if (misbehaviour.dropNext > 0 || state.random() < misbehaviour.dropShare) {
    if (misbehaviour.dropNext > 0) misbehaviour.dropNext -= 1;
    for (const delivery of event.deliveries) delivery.state = "dropped";
    return;
  }
  const go = (): void => {
    if (misbehaviour.delayMs > 0) queue.later(misbehaviour.delayMs, true, () => send(state, event));
    else send(state, event);
  };
  if (misbehaviour.reorder <= 1) {
    go();
    return;
  }
  held.sends.push(go);
  if (held.sends.length >= misbehaviour.reorder) releaseHeld(state);
  else if (held.timer === undefined) {
    held.timer = setTimeout(() => releaseHeld(state), REORDER_HOLD_MS);
    held.timer.unref();
  }
}
