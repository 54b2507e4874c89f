// The sockets of a pool's connections: to close one at once, and to leave a server that takes no writes any more.
import type { Socket } from "node:net";
import type { PoolConnection } from "mariadb";
import type { Logger } from "../../lib/logger.ts";

/** What is known of a pool's sockets. */
export interface Sockets {
  /** The socket of a connection that was just acquired. */
  take(connection: PoolConnection): Socket | undefined;
  /** To be told of each error of a statement. */
  noteError(socket: Socket | undefined, error: unknown): void;
  /** Whether it was open when the server was last found to take no writes: a new one may lead to another. */
  isOutdated(socket: Socket | undefined): boolean;
}

// Read-only (1290, 1792, 1836), offline (3032), outside its Galera quorum (1047) or its group's majority (3100).
const UNWRITABLE_NUMBERS = new Set([1290, 1792, 1836, 3032, 1047, 3100]);

/** Where no other server is to be had, connections are replaced no more often than this. */
const REPLACE_EVERY_MS = 2_000;

/**
 * Follows the sockets of a pool, whose events these are. After a switchover the former primary often lives on, read-only,
 * and answers pings: unless its connections are left, no write works until a restart.
 */
export function createSockets(events: NodeJS.EventEmitter, logger: Logger): Sockets {
  // Only the events show the connection that has the socket.
  const acquired = new Map<number, Socket>();
  const openedAtMs = new WeakMap<Socket, number>();
  let outdatedBeforeMs = -Infinity;
  events.on("acquire", (inner: { threadId: number; getSocket(): Socket }) => {
    const socket = inner.getSocket();
    acquired.set(inner.threadId, socket);
    if (!openedAtMs.has(socket)) openedAtMs.set(socket, performance.now());
  });
  const isOutdated = (socket: Socket | undefined): boolean =>
    socket !== undefined && (openedAtMs.get(socket) ?? Infinity) < outdatedBeforeMs;
  return {
    isOutdated,
    take(connection) {
      const thread = connection.threadId ?? 0;
      const socket = acquired.get(thread);
      acquired.delete(thread);
      return socket;
    },
    noteError(socket, error) {
      const { errno } = error as { errno?: number };
      if (errno === undefined || !UNWRITABLE_NUMBERS.has(errno) || isOutdated(socket)) return;
      const nowMs = performance.now();
      if (nowMs - outdatedBeforeMs < REPLACE_EVERY_MS) return;
      outdatedBeforeMs = nowMs;
      logger.warn({ err: error }, "the database takes no writes; its connections are replaced");
    },
  };
}
