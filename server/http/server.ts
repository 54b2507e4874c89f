// The listening socket: limits against slow and greedy clients, and the graceful stop.
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
} from "node:http";
import { type AddressInfo, Server as NetServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { Config } from "../config/config.ts";
import { addressKey, createProxyCheck } from "./client-address.ts";
import { type ConnectionLimits, type Connections, createConnections } from "./connections.ts";
import { type CommonHeaders, createClientErrorHandler } from "./client-errors.ts";
import { isEnding } from "./unread-body.ts";

/** Limits on what one client may use; times in milliseconds. */
const SERVER_OPTIONS: ServerOptions = {
  // All headers of a request together, the path included.
  maxHeaderSize: 16_384,
  // A client that trickles its headers or its body is cut off (408).
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 2_000,
  // Longer than the 60 s after which common load balancers drop an idle connection, so that they drop it first.
  keepAliveTimeout: 65_000,
  // Node.js would refuse with an empty response; the middleware does so in JSON.
  requireHostHeader: false,
  noDelay: true,
};

const MAX_HEADERS = 100;
/** A client that reads nothing of its response for this long is cut off. */
const READ_TIMEOUT_MS = 90_000;

const CONNECTIONS: ConnectionLimits = { total: 10_000, perAddress: 2_000, pipelined: 16 };

/** Returns the share of the port's connection limits for each of `processes`; they get new connections in turn. */
export function connectionShare(processes: number): ConnectionLimits {
  const share = (limit: number) => Math.ceil(limit / processes);
  return {
    ...CONNECTIONS,
    total: share(CONNECTIONS.total),
    perAddress: share(CONNECTIONS.perAddress),
  };
}

/** No new connection for this long means that the kernel's accept queue is empty. */
const QUIET_MS = 50;
/** Longest wait for an empty queue, in case clients never pause. */
const QUIET_LIMIT_MS = 1_000;
/** Longest wait until all clients have disconnected; stop.ts promises 10 s for everything. */
const DRAIN_LIMIT_MS = 8_000;
/** An idle connection's next request may be on its way: it has this long to arrive. */
const IDLE_GRACE_MS = 500;

/** Resolves when the other servers on the port have reached this point too. */
type Meet = (at: "quiet" | "closed") => Promise<void>;

/** A listening server that can be stopped without breaking requests in flight. */
export interface HttpServer {
  /** Starts listening; resolves to the port. Rejects with the system's error (EADDRINUSE …). */
  listen(port: number, host: string): Promise<number>;
  /** From now on every response asks its client to disconnect (`Connection: close`). */
  beginDrain(): void;
  /**
   * Stops accepting, lets requests in flight finish, closes idle connections; bounded to 8 s. Servers that share a port
   * wait for one another through `meet`, because clients that one sends away would only reconnect to another that still
   * listens.
   */
  stop(meet?: Meet): Promise<void>;
}

/** Optional settings of a server. */
export interface HttpServerOptions {
  /** Trusted proxies speak for many clients: their connections are not counted as one client's. */
  readonly trustProxy?: Config["trustProxy"];
  /** The headers of responses that no handler writes. */
  readonly commonHeaders?: CommonHeaders;
  readonly connections?: ConnectionLimits;
  readonly readTimeoutMs?: number;
}

/** Creates the function that returns the client a connection is counted under; null for a proxy. */
function createClientOf(trustProxy: Config["trustProxy"]): (socket: Socket) => string | null {
  const isProxy = createProxyCheck(trustProxy);
  return ({ remoteAddress = "" }) => (isProxy(remoteAddress) ? null : addressKey(remoteAddress));
}

/** The state of a running server. */
interface ServerState {
  readonly server: Server;
  readonly connections: Connections;
  draining: boolean;
  /** Requests that wait while the listener is about to close; null at any other time. */
  held: (() => void)[] | null;
  lastConnectionAtMs: number;
}

/** Creates a server with limits around `handler`. */
export function createHttpServer(
  handler: RequestListener,
  options: HttpServerOptions = {},
): HttpServer {
  const connections = createConnections(
    options.connections ?? CONNECTIONS,
    createClientOf(options.trustProxy ?? false),
  );
  const server = createServer(SERVER_OPTIONS, (request, response) => {
    const { socket } = request;
    if (isEnding(socket) || !connections.began(socket, response)) return;
    response.on("close", () => connections.ended(socket, response));
    response.on("timeout", closeIfNotReading);
    if (state.draining) response.setHeader("Connection", "close");
    if (state.held) state.held.push(() => handler(request, response));
    else handler(request, response);
  });
  const state: ServerState = {
    ...{ server, connections, draining: false, held: null, lastConnectionAtMs: 0 },
  };
  server.maxHeadersCount = MAX_HEADERS;
  server.timeout = options.readTimeoutMs ?? READ_TIMEOUT_MS;
  server.on("connection", (socket: Socket) => {
    state.lastConnectionAtMs = performance.now();
    connections.opened(socket);
  });
  answerClientErrors(server, options.commonHeaders ?? (() => []));
  return {
    listen: (port, host) => listen(server, port, host),
    beginDrain: () => beginDrain(state),
    stop: (meet = () => Promise.resolve()) => stop(state, meet),
  };
}

/** On a silent connection: closes it if its client is not reading, but lets a client wait for its response. */
function closeIfNotReading(socket: Socket): void {
  if (socket.writableLength > 0) socket.destroy();
}

function answerClientErrors(server: Server, commonHeaders: CommonHeaders): void {
  const onClientError = createClientErrorHandler(commonHeaders);
  server.on("clientError", onClientError);
  // Without a listener, Node.js would close the connection silently.
  server.on("connect", (_request: IncomingMessage, socket: Duplex) => {
    socket.on("error", () => undefined);
    onClientError(new Error("CONNECT is not supported."), socket);
  });
}

function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, host, backlog: 1024 }, () => {
      server.off("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

function beginDrain(state: ServerState): void {
  state.draining = true;
  for (const response of state.connections.responses())
    if (!response.headersSent) response.setHeader("Connection", "close");
}

async function stop(state: ServerState, meet: Meet): Promise<void> {
  const { server, connections } = state;
  beginDrain(state);
  const deadlineMs = performance.now() + DRAIN_LIMIT_MS;
  await emptyConnectionQueue(state);
  await meet("quiet");
  // Until the others were quiet too, clients were still sent here.
  await waitForQuiet(state);
  const closed = new Promise<void>((resolve) => {
    // Server.close would also cut idle keep-alive connections, whose next request may be on its way.
    NetServer.prototype.close.call(server, () => resolve());
  });
  await meet("closed");
  const waiting = state.held ?? [];
  state.held = null;
  for (const begin of waiting) begin();
  await waitUntil(() => connections.inFlight === 0, deadlineMs);
  await waitUntil(() => false, Math.min(performance.now() + IDLE_GRACE_MS, deadlineMs));
  await waitUntil(() => connections.inFlight === 0, deadlineMs);
  server.closeIdleConnections();
  await Promise.race([closed, waitUntil(() => false, deadlineMs)]);
  server.closeAllConnections();
  // Stops the timer that checks for slow clients; the listener is already closed.
  server.close(() => undefined);
}

/**
 * Connections that the kernel has accepted but this process has not would be reset when the listener closes. Every
 * response makes its client reconnect, so for a moment none is sent: new requests are held, and the queue runs empty.
 */
async function emptyConnectionQueue(state: ServerState): Promise<void> {
  state.held = [];
  state.lastConnectionAtMs = performance.now();
  await waitForQuiet(state);
}

/** Waits until no new connection has come for a moment, within bounds. */
async function waitForQuiet(state: ServerState): Promise<void> {
  await waitUntil(
    () => performance.now() - state.lastConnectionAtMs > QUIET_MS,
    performance.now() + QUIET_LIMIT_MS,
  );
}

async function waitUntil(done: () => boolean, deadlineMs: number): Promise<void> {
  while (!done() && performance.now() < deadlineMs) await delay(20);
}
