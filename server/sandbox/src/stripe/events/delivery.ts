// Owns sending events to webhook endpoints: signature, timeout, retries with backoff, and misdelivery on request.
import { createHmac } from "node:crypto";
import type { Delivery, EventLog, LoggedEvent } from "./events.ts";
import type { WebhookEndpoint } from "../objects/types.ts";

/** How deliveries go wrong on purpose. All off by default. */
export interface DeliveryMisbehaviour {
  /** Each event is sent this many extra times. */
  duplicate: number;
  /** Each delivery waits this long first. */
  delayMs: number;
  /** Events are held until this many wait (or 300 ms pass), then sent in reverse. 0 = off. */
  reorder: number;
  /** The next n events are never sent (they stay pending, for `events.list` to find). */
  dropNext: number;
  /** Share 0..1 of events never sent. */
  dropShare: number;
  /** Each event is announced again under a second event id. */
  secondId: boolean;
  /** Nothing is sent until this is switched off. */
  paused: boolean;
  /** Added to the signature's timestamp. */
  signatureSkewSeconds: number;
  /** Only these event types are affected; empty = all. */
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
  /** Sends a new event to every endpoint it is meant for. */
  dispatch(event: LoggedEvent): void;
  /** Sends an event once more to every endpoint, whatever its state. Resolves when answered. */
  resend(event: LoggedEvent): Promise<void>;
  /** Takes up pending deliveries again, after a restart or a pause. */
  resume(): void;
  /** Resolves when nothing is queued or in flight (planned retries do not count). */
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

/** Creates the deliverer. Only loopback and `allowHosts` are ever called. */
export function createDeliverer(given: {
  log: EventLog;
  endpoint(id: string): WebhookEndpoint | undefined;
  wallNow(): number;
  retryDelaysMs: number[];
  concurrency: number;
  allowHosts: string[];
  /** Decides what `dropShare` drops; 0..1. */
  random: () => number;
  onChange(): void;
}): Deliverer {
  const misbehaviour: DeliveryMisbehaviour = { ...WELL_BEHAVED };
  const queue: (() => Promise<void>)[] = [];
  const timers = new Set<NodeJS.Timeout>();
  const waiting = new Set<NodeJS.Timeout>();
  const idlers: (() => void)[] = [];
  const stop = new AbortController();
  let held: (() => void)[] = [];
  let holdTimer: NodeJS.Timeout | undefined;
  let inFlight = 0;

  const isIdle = (): boolean =>
    queue.length === 0 && inFlight === 0 && held.length === 0 && waiting.size === 0;
  const settle = (): void => {
    if (isIdle()) for (const wake of idlers.splice(0)) wake();
  };
  const pump = (): void => {
    while (inFlight < given.concurrency && !stop.signal.aborted) {
      const job = queue.shift();
      if (job === undefined) break;
      inFlight += 1;
      void job().finally(() => {
        inFlight -= 1;
        given.onChange();
        pump();
      });
    }
    settle();
  };
  const later = (delayMs: number, counts: boolean, work: () => void): void => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      waiting.delete(timer);
      work();
      settle();
    }, delayMs);
    timer.unref();
    timers.add(timer);
    if (counts) waiting.add(timer);
  };

  const post = async (
    event: LoggedEvent,
    delivery: Delivery,
    endpoint: WebhookEndpoint,
  ): Promise<void> => {
    // The endpoint may have moved since the event was made (a restart on another port).
    delivery.url = endpoint.url;
    delivery.attempts += 1;
    delivery.nextAttemptAt = null;
    const target = new URL(delivery.url);
    if (!isLoopback(target.hostname) && !given.allowHosts.includes(target.hostname)) {
      delivery.lastError = `The sandbox only calls loopback addresses, not ${target.hostname} (allowHosts).`;
      return;
    }
    const body = given.log.envelope(event);
    const timestamp = given.wallNow() + misbehaviour.signatureSkewSeconds;
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
        signal: AbortSignal.any([stop.signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]),
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
  };

  const attempt = async (event: LoggedEvent, delivery: Delivery, retry: boolean): Promise<void> => {
    const endpoint = given.endpoint(delivery.endpointId);
    if (endpoint === undefined) {
      delivery.state = "failed";
      return;
    }
    await post(event, delivery, endpoint);
    if (delivery.state === "delivered" || !retry || stop.signal.aborted) return;
    const delayMs = given.retryDelaysMs[delivery.attempts - 1];
    if (delayMs === undefined) {
      delivery.state = "failed";
      return;
    }
    delivery.nextAttemptAt = Date.now() + delayMs;
    later(delayMs, false, () => {
      if (delivery.state === "delivered") return;
      enqueue(event, delivery);
    });
  };

  const enqueue = (event: LoggedEvent, delivery: Delivery): void => {
    if (misbehaviour.paused) return;
    queue.push(() => attempt(event, delivery, true));
    pump();
  };

  const releaseHeld = (): void => {
    clearTimeout(holdTimer);
    holdTimer = undefined;
    const batch = held.reverse();
    held = [];
    for (const send of batch) send();
    settle();
  };

  const send = (event: LoggedEvent): void => {
    for (const delivery of event.deliveries) {
      enqueue(event, delivery);
      for (let i = 0; i < misbehaviour.duplicate; i += 1) {
        queue.push(() => attempt(event, delivery, false));
      }
    }
    pump();
  };

  const affected = (event: LoggedEvent): boolean =>
    misbehaviour.types.length === 0 || misbehaviour.types.includes(event.type);

  const dispatch = (event: LoggedEvent): void => {
    if (event.deliveries.length === 0) return;
    if (!affected(event)) {
      for (const delivery of event.deliveries) enqueue(event, delivery);
      return;
    }
    if (misbehaviour.dropNext > 0 || given.random() < misbehaviour.dropShare) {
      if (misbehaviour.dropNext > 0) misbehaviour.dropNext -= 1;
      for (const delivery of event.deliveries) delivery.state = "dropped";
      return;
    }
    const go = (): void => {
      if (misbehaviour.delayMs > 0) later(misbehaviour.delayMs, true, () => send(event));
      else send(event);
    };
    if (misbehaviour.reorder > 1) {
      held.push(go);
      if (held.length >= misbehaviour.reorder) releaseHeld();
      else if (holdTimer === undefined) {
        holdTimer = setTimeout(releaseHeld, REORDER_HOLD_MS);
        holdTimer.unref();
      }
      return;
    }
    go();
  };

  return {
    misbehaviour,
    dispatch: (event) => {
      dispatch(event);
      if (misbehaviour.secondId && affected(event)) dispatch(given.log.copy(event));
    },
    resend: async (event) => {
      await Promise.all(event.deliveries.map((delivery) => attempt(event, delivery, false)));
      given.onChange();
    },
    resume: () => {
      for (const event of given.log.events.values()) {
        for (const delivery of event.deliveries) {
          if (delivery.state === "pending" && delivery.nextAttemptAt === null) {
            enqueue(event, delivery);
          }
        }
      }
    },
    idle: () => (isIdle() ? Promise.resolve() : new Promise((wake) => idlers.push(wake))),
    close: async () => {
      stop.abort();
      queue.length = 0;
      held = [];
      clearTimeout(holdTimer);
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
      waiting.clear();
      while (inFlight > 0) await new Promise((wake) => setTimeout(wake, 5));
      settle();
    },
  };
}
