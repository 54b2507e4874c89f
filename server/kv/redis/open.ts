// The key-value side over Redis: what several instances share, and what each does while Redis is unavailable.
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster, type Redis } from "ioredis";
import type { RedisConfig } from "../../config/config.ts";
import { sendInBursts } from "../../lib/bursts.ts";
import type { DependencyState } from "../../lib/dependency-state.ts";
import type { Logger } from "../../lib/logger.ts";
import type { KeyValues } from "../ports.ts";
import { createRedisCache } from "./cache.ts";
import { createRedisCircuit, type RedisCircuit } from "./circuit-breaker.ts";
import { reconnectAbandoned, createRedisClient, type RedisClient } from "./client.ts";
import { addressOf, reasonOf } from "./failure.ts";
import { createRedisLimiters } from "./limiter.ts";
import { createRedisLocks } from "./locks.ts";
import { createRedisPubSub } from "./pubsub.ts";
import { createRedisRunOutput } from "./run-output.ts";

const START_WAIT_MS = 1_000;

/**
 * Connects to Redis and returns within about a second, connected or not. While Redis is unavailable, limits are counted
 * in memory, locks count as taken, the cache misses and messages are not delivered; it recovers automatically.
 */
export async function openRedis(
  config: RedisConfig,
  options: { logger: Logger; keyPrefix: string },
): Promise<KeyValues> {
  const { keyPrefix } = options;
  const logger = options.logger.child({ redis: addressOf(config) });
  let closing: Promise<void> | undefined;
  const connect = () =>
    reconnectAbandoned(
      logErrorsOnly(createRedisClient(config), logger),
      () => closing === undefined,
    );
  const client = inBursts(connect());
  const subscriber = connect();
  const circuit = createRedisCircuit(client, logger);
  const pubsub = createRedisPubSub({ circuit, subscriber, keyPrefix, logger });
  const runOutput = createRedisRunOutput({ circuit, pubsub, keyPrefix, logger });
  await Promise.race([Promise.all([ready(client), ready(subscriber)]), sleep(START_WAIT_MS)]);
  await circuit.probe();
  return {
    cache: createRedisCache(circuit, keyPrefix),
    locks: createRedisLocks(circuit, keyPrefix),
    pubsub,
    runOutput,
    limiter: createRedisLimiters(circuit, keyPrefix),
    check: () => check(circuit),
    stats: circuit.stats,
    close() {
      closing ??= (async () => {
        runOutput.close();
        circuit.stop();
        pubsub.stop();
        await Promise.all([end(client), end(subscriber)]);
      })();
      return closing;
    },
  };
}

/** Sends everything that one turn of the event loop writes to Redis in one system call. */
function inBursts(client: RedisClient): RedisClient {
  if (client instanceof Cluster) client.on("+node", (node: Redis) => void inBursts(node));
  else client.on("connect", () => sendInBursts(client.stream, setImmediate));
  return client;
}

/**
 * Without a listener a lost connection would end the process. Debug level, because ioredis reports each failed attempt.
 */
function logErrorsOnly(client: RedisClient, logger: Logger): RedisClient {
  client.on("error", (error) => logger.debug({ reason: reasonOf(error) }, "Redis connection"));
  return client;
}

function ready(client: RedisClient): Promise<void> {
  if (client.status === "ready") return Promise.resolve();
  return new Promise((resolve) => client.once("ready", () => resolve()));
}

/** QUIT lets commands in flight finish; a server that does not respond is disconnected. */
async function end(client: RedisClient): Promise<void> {
  const politely = client.status === "ready" ? client.quit() : Promise.resolve();
  await Promise.race([politely.catch(() => {}), sleep(500, undefined, { ref: false })]);
  client.disconnect();
}

async function check(circuit: RedisCircuit): Promise<DependencyState> {
  if (!circuit.open && (await circuit.probe())) return { status: "up" };
  // Only the reason's code (ECONNREFUSED, WRONGPASS): anyone may read /ready, and the rest names the address.
  const [code] = circuit.trouble()?.match(/\b[A-Z]{4,}\b/) ?? [];
  return {
    status: "degraded",
    detail: `Redis does not answer${code === undefined ? "" : ` (${code})`}: limits are counted per instance and live updates pause until it is back.`,
    action: "See whether Redis runs, can be reached from here, and takes our password.",
  };
}
