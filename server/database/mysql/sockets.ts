// The sockets of a pool's connections: to close one immediately, and to leave a server that no longer accepts writes.
import type { Socket } from "node:net";
import type { PoolConnection } from "mariadb";
import type { Logger } from "../../lib/logger.ts";

/** Tracks a pool's sockets. */
export interface Sockets {
  /** Returns the socket of a connection that was just acquired. */
  take(connection: PoolConnection): Socket | undefined;
  /** Call this with every error of a statement. */
  noteError(socket: Socket | undefined, error: unknown): void;
  /**
   * Whether it was opened before the server was last found to reject writes: a new connection may reach another server.
   */
  isOutdated(socket: Socket | undefined): boolean;
}

// Read-only (1290, 1792, 1836), offline (3032), outside its Galera quorum (1047) or its group's majority (3100).
const UNWRITABLE_NUMBERS = new Set([1290, 1792, 1836, 3032, 1047, 3100]);

/** Connections are replaced no more often than this, in case there is no other server to reach. */
const REPLACE_EVERY_MS = 2_000;

/**
 * Tracks the sockets of the pool that emits `events`. After a switchover the former primary often stays up, read-only,
 * and answers pings: unless its connections are dropped, no write succeeds until a restart.
 */
export function createSockets(events: NodeJS.EventEmitter, logger: Logger): Sockets {
  // Only the pool's events expose the inner connection, which has the socket.
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
