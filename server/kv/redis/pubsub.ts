// Messages between instances over Redis: one subscribing connection, subscribed again whenever it reconnects.
import { randomUUID } from "node:crypto";
import type { Logger } from "../../lib/logger.ts";
import { withTimeout } from "../../lib/timeout.ts";
import type { PubSub } from "../ports.ts";
import type { RedisCircuit } from "./circuit-breaker.ts";
import { COMMAND_TIMEOUT_MS, type RedisClient } from "./client.ts";
import { reasonOf } from "./failure.ts";

const PULSE_EVERY_MS = 2_000;
/** After this many in a row that were sent but not heard, nothing else would be heard either. */
const MAX_UNHEARD_PULSES = 3;

interface Subscription {
  readonly listener: (message: string) => void;
}

interface PubSubOptions {
  readonly circuit: RedisCircuit;
  readonly subscriber: RedisClient;
  readonly keyPrefix: string;
  readonly logger: Logger;
}

/** Creates pub/sub over a publishing circuit and a separate subscribing client. */
export function createRedisPubSub(options: PubSubOptions): PubSub & { stop(): void } {
  const { circuit, subscriber, keyPrefix, logger } = options;
  // One object per subscription, because the same function may be subscribed twice.
  const listeners = new Map<string, Set<Subscription>>();
  /** Channels that Redis did not subscribe. */
  const refused = new Set<string>();
  subscriber.on("message", (channel: string, message: string) => {
    for (const { listener } of listeners.get(channel) ?? []) {
      try {
        listener(message);
      } catch (error) {
        logger.error({ err: error }, "a listener of a Redis channel failed");
      }
    }
  });
  subscriber.on("ready", () => void subscribeNow([...listeners.keys()]));

  /** A failure does no harm: the next "ready" subscribes everything again, the next pulse what was refused. */
  async function subscribeNow(channels: string[]): Promise<void> {
    for (const channel of channels) refused.delete(channel);
    try {
      const late = () => new Error(`No answer within ${COMMAND_TIMEOUT_MS} ms`);
      await withTimeout(subscriber.subscribe(...channels), COMMAND_TIMEOUT_MS, late);
    } catch (error) {
      for (const channel of channels) if (listeners.has(channel)) refused.add(channel);
      logger.warn(
        { reason: reasonOf(error) },
        "Redis channels are not subscribed yet; retrying when it is available",
      );
    }
  }

  const pulse = watchPulse(options, () => {
    if (refused.size > 0) void subscribeNow([...refused]);
  });
  listeners.set(pulse.channel, new Set([{ listener: pulse.heard }]));

  return {
    async publish(channel, message) {
      await circuit.ask<unknown>(
        (client) => client.publish(`${keyPrefix}:${channel}`, message),
        () => undefined,
      );
    },
    async subscribe(channel, listener) {
      const name = `${keyPrefix}:${channel}`;
      const subscription = { listener };
      const known = listeners.get(name);
      if (known !== undefined) known.add(subscription);
      else {
        listeners.set(name, new Set([subscription]));
        if (subscriber.status === "ready") await subscribeNow([name]);
      }
      return () => {
        const left = listeners.get(name);
        if (left?.delete(subscription) && left.size === 0) {
          listeners.delete(name);
          refused.delete(name);
          // Not awaited: whoever leaves must not wait for a Redis that does not answer.
          subscriber.unsubscribe(name).catch(() => {});
        }
        return Promise.resolve();
      };
    },
    stop: () => pulse.stop(),
  };
}

/**
 * Heartbeat: publishes to a private channel and reconnects when messages stop coming back. A connection that only
 * listens never notices a silent peer, and a PING to a cluster may be answered by any of its nodes. Calls `onPulse`
 * with each beat of a connection that is kept.
 */
function watchPulse(
  { circuit, subscriber, keyPrefix, logger }: PubSubOptions,
  onPulse: () => void,
) {
  const channel = `${keyPrefix}:pulse:${randomUUID()}`;
  let unheard = 0;
  const heard = (): void => {
    unheard = 0;
  };
  subscriber.on("ready", heard);
  const timer = setInterval(() => {
    if (subscriber.status !== "ready") return;
    if (unheard >= MAX_UNHEARD_PULSES) {
      logger.warn("nothing is heard from Redis; subscribing on a new connection");
      heard();
      subscriber.disconnect(true);
      return;
    }
    onPulse();
    unheard += 1;
    // An unavailable Redis says nothing about this connection.
    void circuit.ask<unknown>((client) => client.publish(channel, ""), heard);
  }, PULSE_EVERY_MS);
  timer.unref();
  return { channel, heard, stop: () => clearInterval(timer) };
}
