// Messages between instances over Redis: one subscribing connection, subscribed again whenever it comes back.
import type { Logger } from "../../lib/logger.ts";
import { withFallback, withTimeout } from "../../lib/timeout.ts";
import type { PubSub } from "../ports.ts";
import type { RedisCircuit } from "./circuit-breaker.ts";
import { COMMAND_TIMEOUT_MS, type RedisClient } from "./client.ts";
import { reasonOf } from "./failure.ts";

const HEARTBEAT_EVERY_MS = 5_000;

/** Pub/sub over a publishing circuit and a subscribing client of its own. */
export function createRedisPubSub(options: {
  circuit: RedisCircuit;
  subscriber: RedisClient;
  keyPrefix: string;
  logger: Logger;
}): PubSub & { stop(): void } {
  const { circuit, subscriber, keyPrefix, logger } = options;
  const listeners = new Map<string, Set<(message: string) => void>>();

  subscriber.on("message", (channel: string, message: string) => {
    for (const listener of listeners.get(channel) ?? []) {
      try {
        listener(message);
      } catch (error) {
        logger.error({ err: error }, "a listener of a Redis channel failed");
      }
    }
  });
  subscriber.on("ready", () => {
    if (listeners.size > 0) void subscribeNow([...listeners.keys()]);
  });

  /** Failure is no matter: "ready" will come and subscribe everything. */
  async function subscribeNow(channels: string[]): Promise<void> {
    try {
      const late = () => new Error(`No answer within ${COMMAND_TIMEOUT_MS} ms`);
      await withTimeout(subscriber.subscribe(...channels), COMMAND_TIMEOUT_MS, late);
    } catch (error) {
      logger.warn(
        { reason: reasonOf(error) },
        "Redis channels are not subscribed yet; retrying when it is available",
      );
    }
  }

  async function hangUpIfSilent(): Promise<void> {
    const ping = subscriber.ping().catch(() => "late");
    const answer = await withFallback(ping, COMMAND_TIMEOUT_MS * 2, "late");
    if (answer === "late" && subscriber.status === "ready") subscriber.disconnect(true);
  }

  // A silent peer is noticed by nobody on a connection that only listens.
  const heartbeat = setInterval(() => {
    if (subscriber.status !== "ready" || listeners.size === 0) return;
    void hangUpIfSilent();
  }, HEARTBEAT_EVERY_MS);
  heartbeat.unref();

  return {
    async publish(channel, message) {
      await circuit.ask<unknown>(
        (client) => client.publish(`${keyPrefix}:${channel}`, message),
        () => undefined,
      );
    },
    async subscribe(channel, listener) {
      const name = `${keyPrefix}:${channel}`;
      const known = listeners.get(name);
      if (known !== undefined) known.add(listener);
      else {
        listeners.set(name, new Set([listener]));
        if (subscriber.status === "ready") await subscribeNow([name]);
      }
      return async () => {
        const left = listeners.get(name);
        left?.delete(listener);
        if (left?.size !== 0) return;
        listeners.delete(name);
        await subscriber.unsubscribe(name).catch(() => {});
      };
    },
    stop: () => clearInterval(heartbeat),
  };
}
