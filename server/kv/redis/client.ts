// How ioredis is set up, so that no command ever waits long for a Redis that is unavailable, slow or failing over.
import { Cluster, Redis, type RedisOptions } from "ioredis";
import type { RedisConfig } from "../../config/config.ts";

/** One client: a single server, the master behind Sentinels, or a cluster. */
export type RedisClient = Redis | Cluster;

/** Client-side timeout of one command. */
export const COMMAND_TIMEOUT_MS = 400;
/** ioredis drops it by a timer that knows nothing of a blocked event loop, so later. */
const FORGET_COMMAND_AFTER_MS = 4 * COMMAND_TIMEOUT_MS;
const CONNECT_TIMEOUT_MS = 1_000;

// ioredis's own defaults queue commands while offline and resend them for up to 20 reconnects: many seconds of waiting.
const COMMON = {
  commandTimeout: FORGET_COMMAND_AFTER_MS,
  connectTimeout: CONNECT_TIMEOUT_MS,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  enableReadyCheck: true,
  // Channels are subscribed again by pubsub.ts, which knows who still listens.
  autoResubscribe: false,
  // A master that became a replica answers READONLY until the connection is recreated.
  reconnectOnError: (error: Error) => error.message.startsWith("READONLY"),
  // Managed Redis services do not all speak version 3.
  protocol: 2,
} as const satisfies RedisOptions;

/** A client that connects in the background, for ever, and never queues what it cannot send. The caller ends it. */
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
        // Hears of a failover from the Sentinels instead of finding out by a failed command.
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

/** A cluster's last node may take two seconds to go. */
const STUCK_AFTER_MS = 2_500;

/**
 * Connects a client again that ioredis has given up for good, for as long as it `isWanted`. It ends one whose Sentinel
 * tells of a failover while it looks for the master, because it takes the detector's hanging up for its caller's
 * (SentinelConnector). And a cluster whose last node goes while names are looked up stays closed without a word.
 */
export function connectWhenGivenUp(client: RedisClient, isWanted: () => boolean): RedisClient {
  const connectAfter = (ms: number, status: "end" | "close") => {
    const connect = () => {
      // A try that fails ends the client anew, and so comes back here.
      if (isWanted() && client.status === status) client.connect().catch(() => {});
    };
    setTimeout(connect, ms).unref();
  };
  client.on("end", () => connectAfter(backoffMs(2), "end"));
  client.on("close", () => connectAfter(STUCK_AFTER_MS, "close"));
  return client;
}

/** Doubling from 50 ms to 2 s, with jitter so that many instances do not come back in step. */
function backoffMs(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 6), 2_000) * (0.5 + Math.random() / 2);
}
