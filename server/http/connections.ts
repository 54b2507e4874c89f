// Limits a server's open connections, in total and per client. The longest idle one is closed in favour of a new one.
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Bounds on connections. */
export interface ConnectionLimits {
  /** Maximum open simultaneously. */
  readonly total: number;
  /** Maximum open from one address (IPv6: /64). A proxy's connections serve many clients and count in `total` only. */
  readonly perAddress: number;
  /** Maximum requests in flight on one connection; only pipelining causes more than one. */
  readonly pipelined: number;
}

interface Client {
  readonly sockets: Set<Socket>;
  /** Those without a request in flight, longest idle first. */
  readonly idle: Set<Socket>;
}

interface Connection {
  /** Null for a proxy. */
  readonly client: Client | null;
  readonly responses: Set<ServerResponse>;
}

/** The connections of one server. */
export interface Connections {
  /** Registers a new connection. Over a limit, closes the longest idle one, or the new one when all others are busy. */
  opened(socket: Socket): void;
  /** Registers a request; returns false if its connection is gone or was cut for having too many in flight. */
  began(socket: Socket, response: ServerResponse): boolean;
  /** Unregisters a request that is answered or abandoned. */
  ended(socket: Socket, response: ServerResponse): void;
  /** Every response not yet finished. */
  responses(): Iterable<ServerResponse>;
  /** The number of responses not yet finished. */
  readonly inFlight: number;
}

/** Creates the registry. `clientOf` returns the key a connection is counted under, or null for a proxy. */
export function createConnections(
  limits: ConnectionLimits,
  clientOf: (socket: Socket) => string | null,
): Connections {
  const connections = new Map<Socket, Connection>();
  const clients = new Map<string, Client>();
  const idle = new Set<Socket>();
  let inFlight = 0;

  function setIdle(socket: Socket, { client }: Connection): void {
    idle.add(socket);
    client?.idle.add(socket);
  }

  function setBusy(socket: Socket, { client }: Connection): void {
    idle.delete(socket);
    client?.idle.delete(socket);
  }

  function closed(socket: Socket, connection: Connection, key: string | null): void {
    connections.delete(socket);
    setBusy(socket, connection);
    inFlight -= connection.responses.size;
    const owed = [...connection.responses];
    connection.responses.clear();
    connection.client?.sockets.delete(socket);
    if (key !== null && connection.client?.sockets.size === 0) clients.delete(key);
    for (const response of owed) if (isQueued(response)) giveUp(response);
  }

  return {
    opened(socket) {
      const key = clientOf(socket);
      const client =
        key === null
          ? null
          : (clients.get(key) ?? { sockets: new Set<Socket>(), idle: new Set<Socket>() });
      if (key !== null && client) clients.set(key, client);
      const connection = { client, responses: new Set<ServerResponse>() };
      connections.set(socket, connection);
      client?.sockets.add(socket);
      setIdle(socket, connection);
      socket.once("close", () => closed(socket, connection, key));
      // The new connection is idle too, and last in line: it is the one closed when all others are busy.
      if (client && client.sockets.size > limits.perAddress) first(client.idle)?.destroy();
      else if (connections.size > limits.total) first(idle)?.destroy();
    },
    began(socket, response) {
      const connection = connections.get(socket);
      if (!connection || socket.destroyed) return false;
      if (connection.responses.size >= limits.pipelined) {
        socket.destroy();
        return false;
      }
      connection.responses.add(response);
      inFlight += 1;
      setBusy(socket, connection);
      return true;
    },
    ended(socket, response) {
      const connection = connections.get(socket);
      if (!connection?.responses.delete(response)) return;
      inFlight -= 1;
      if (connection.responses.size === 0) setIdle(socket, connection);
    },
    *responses() {
      for (const { responses } of connections.values()) yield* responses;
    },
    get inFlight() {
      return inFlight;
    },
  };
}

function first(sockets: ReadonlySet<Socket>): Socket | undefined {
  for (const socket of sockets) if (!socket.destroyed) return socket;
  return undefined;
}

/**
 * Whether the response waits behind another on its connection: it has no socket yet. A finished one has none either.
 */
function isQueued(response: ServerResponse): boolean {
  return response.socket === null && !response.writableFinished;
}

/** Signals that the client has left. Node.js does so only to the one response that has the socket. */
function giveUp(response: ServerResponse): void {
  response.destroyed = true;
  response.emit("close");
}
