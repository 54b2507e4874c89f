// Sets up ioredis so that no command ever waits long for a Redis that is unavailable, slow or failing over.
import { Cluster, Redis, type RedisOptions } from "ioredis";
import type { RedisConfig } from "../../config/config.ts";

/** One client: a single server, the master behind Sentinels, or a cluster. */
export type RedisClient = Redis | Cluster;

/** Client-side timeout of one command. */
export const COMMAND_TIMEOUT_MS = 400;
/** ioredis's own timer does not allow for a blocked event loop, so it is set to fire later than ours. */
const FORGET_COMMAND_AFTER_MS = 4 * COMMAND_TIMEOUT_MS;
const CONNECT_TIMEOUT_MS = 1_000;

// By default ioredis queues commands while offline and resends them for up to 20 reconnects: many seconds of waiting.
const COMMON = {
  commandTimeout: FORGET_COMMAND_AFTER_MS,
  connectTimeout: CONNECT_TIMEOUT_MS,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  enableReadyCheck: true,
  // pubsub.ts subscribes the channels again, because it knows who is still listening.
  autoResubscribe: false,
  // A master that became a replica answers READONLY until the connection is recreated.
  reconnectOnError: (error: Error) => error.message.startsWith("READONLY"),
  // Not all managed Redis services speak version 3 of the protocol.
  protocol: 2,
} as const satisfies RedisOptions;

/**
 * Creates a client that keeps reconnecting in the background and never queues what it cannot send. The caller closes
 * it.
 */
export function createRedisClient(config: RedisConfig): RedisClient {
  switch (config.kind) {
    case "single":
      return new Redis({
        ...COMMON,
        host: config.host,
        port: config.port,
        db: config.db,
        username: config.username,
        password: config.password,
        ...(config.tls ? { tls: { servername: config.host } } : {}),
        enableOfflineQueue: false,
        retryStrategy: backoffMs,
      });
    case "sentinel":
      return new Redis({
        ...COMMON,
        sentinels: config.sentinels,
        name: config.name,
        password: config.password,
        sentinelPassword: config.password,
        sentinelCommandTimeout: COMMAND_TIMEOUT_MS,
        sentinelRetryStrategy: backoffMs,
        // Learns of a failover from the Sentinels instead of from a failed command.
        failoverDetector: true,
        enableOfflineQueue: false,
        retryStrategy: backoffMs,
      });
    case "cluster":
      return new Cluster(config.nodes, {
        redisOptions: { ...COMMON, password: config.password },
        enableOfflineQueue: false,
        clusterRetryStrategy: backoffMs,
        slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
        // Enough to follow a moved slot; a failover takes longer than a request may wait.
        maxRedirections: 4,
        retryDelayOnFailover: 50,
        retryDelayOnClusterDown: 50,
        retryDelayOnTryAgain: 50,
      });
  }
}

/** Longer than a cluster's last node takes to close, which can be two seconds. */
const STUCK_AFTER_MS = 2_500;

/**
 * Reconnects a client that ioredis has abandoned for good, for as long as it `isWanted`. ioredis ends a client whose
 * Sentinel reports a failover while it is looking for the master, because it mistakes the failover detector's
 * disconnect for its caller's (SentinelConnector). And a cluster whose last node goes away while names are being looked
 * up stays closed without any further event.
 */
export function reconnectAbandoned(client: RedisClient, isWanted: () => boolean): RedisClient {
  const connectAfter = (ms: number, status: "end" | "close") => {
    const connect = () => {
      // A failed attempt ends the client again, which leads back here.
      if (isWanted() && client.status === status) client.connect().catch(() => {});
    };
    setTimeout(connect, ms).unref();
  };
  client.on("end", () => connectAfter(backoffMs(2), "end"));
  client.on("close", () => connectAfter(STUCK_AFTER_MS, "close"));
  return client;
}

/** Doubles from 50 ms to 2 s, with jitter so that many instances do not reconnect in step. */
function backoffMs(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 6), 2_000) * (0.5 + Math.random() / 2);
}
