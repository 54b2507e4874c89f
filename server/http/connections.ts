// How many connections a server holds, in all and for one client: the longest idle one gives way to a newcomer.
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Bounds on connections. */
export interface ConnectionLimits {
  /** Open at once. */
  readonly total: number;
  /** Open at once from one address (IPv6: /64). A proxy's own connections are everybody's and count in `total` only. */
  readonly perAddress: number;
  /** Requests of one connection under way at once: only pipelining makes more than one. */
  readonly pipelined: number;
}

interface Client {
  readonly sockets: Set<Socket>;
  /** Without a request under way, the longest idle first. */
  readonly idle: Set<Socket>;
}

interface Connection {
  /** Null for a proxy. */
  readonly client: Client | null;
  readonly responses: Set<ServerResponse>;
}

/** The connections of one server. */
export interface Connections {
  /** Takes a new connection in. Closes an idle one, or the newcomer when nobody is idle, where there are too many. */
  opened(socket: Socket): void;
  /** A request has begun; false when its connection was cut, because it has too many under way. */
  began(socket: Socket, response: ServerResponse): boolean;
  /** The request is answered or given up. */
  ended(socket: Socket, response: ServerResponse): void;
  /** Every answer that is still owed. */
  responses(): Iterable<ServerResponse>;
  /** How many answers are still owed. */
  readonly inFlight: number;
}

/** Makes the register. `clientOf` gives the key a connection is counted under, or null for a proxy. */
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
      // The newcomer is idle too and the last in line: it is the one to go when all others are at work.
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

/** Behind another answer of its connection: it has no socket yet. An answer that is out has none any more. */
function isQueued(response: ServerResponse): boolean {
  return response.socket === null && !response.writableFinished;
}

/** Says that the client has left, as Node.js does to the one answer that has the socket, and to no other. */
function giveUp(response: ServerResponse): void {
  response.destroyed = true;
  response.emit("close");
}
