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

/** Bounds of what one client may take; times in milliseconds. */
const SERVER_OPTIONS: ServerOptions = {
  // Of all headers of a request, the path included.
  maxHeaderSize: 16_384,
  // A client that trickles its headers or its body is cut off (408).
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 2_000,
  // Longer than the 60 s after which common load balancers drop an idle connection, so that they drop it first.
  keepAliveTimeout: 65_000,
  // Node.js would refuse with an empty answer; the middleware says it in JSON.
  requireHostHeader: false,
  noDelay: true,
};

const MAX_HEADERS = 100;
/** A client that takes in nothing of its answer for this long is cut off. */
const READ_TIMEOUT_MS = 90_000;

const CONNECTIONS: ConnectionLimits = { total: 10_000, perAddress: 2_000, pipelined: 16 };

/** The share of the port's connections that each of `processes` may hold; they get new ones in turn. */
export function connectionShare(processes: number): ConnectionLimits {
  const share = (limit: number) => Math.ceil(limit / processes);
  return {
    ...CONNECTIONS,
    total: share(CONNECTIONS.total),
    perAddress: share(CONNECTIONS.perAddress),
  };
}

/** Nobody new for this long: the kernel's queue of new connections is empty. */
const QUIET_MS = 50;
/** Under clients that never pause, the queue is not waited for any longer. */
const QUIET_LIMIT_MS = 1_000;
/** How long it may take until nobody is connected; stop.ts promises 10 s for everything. */
const DRAIN_LIMIT_MS = 8_000;
/** An idle connection may have a request under way: it gets this long to arrive and be answered. */
const IDLE_GRACE_MS = 500;

/** Resolves when the other servers of the port have come as far. */
type Meet = (at: "quiet" | "closed") => Promise<void>;

/** A listening server that can be stopped without breaking anybody's request. */
export interface HttpServer {
  /** Starts listening; answers the port. Rejects with the system's error (EADDRINUSE …). */
  listen(port: number, host: string): Promise<number>;
  /** From now on every answer asks its client to leave (`Connection: close`). */
  beginDrain(): void;
  /**
   * Stops accepting, lets requests in flight finish, closes idle connections; bounded to 8 s. Servers that share a port
   * wait for one another by `meet`: while one still listens, whom another sends away would only come to it.
   */
  stop(meet?: Meet): Promise<void>;
}

/** What a server may know beside its handler. */
export interface HttpServerOptions {
  /** Proxies speak for many clients: their connections are not counted as one client's. */
  readonly trustProxy?: Config["trustProxy"];
  /** The headers of answers that no handler gives. */
  readonly commonHeaders?: CommonHeaders;
  readonly connections?: ConnectionLimits;
  readonly readTimeoutMs?: number;
}

/** The client a connection is counted under; null for a proxy. */
function createClientOf(trustProxy: Config["trustProxy"]): (socket: Socket) => string | null {
  const isProxy = createProxyCheck(trustProxy);
  return ({ remoteAddress = "" }) => (isProxy(remoteAddress) ? null : addressKey(remoteAddress));
}

/** What the server knows of itself while it runs. */
interface ServerState {
  readonly server: Server;
  readonly connections: Connections;
  draining: boolean;
  /** While the listener is about to close, requests wait here. */
  held: (() => void)[] | null;
  lastConnectionAtMs: number;
}

/** Wraps `handler` in a server with limits. */
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
    response.on("timeout", cutUnread);
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

/** On a silent connection: closes it where its client does not read, and lets a client wait for its answer. */
function cutUnread(socket: Socket): void {
  if (socket.writableLength > 0) socket.destroy();
}

function answerClientErrors(server: Server, commonHeaders: CommonHeaders): void {
  const onClientError = createClientErrorHandler(commonHeaders);
  server.on("clientError", onClientError);
  // Node.js would close the connection without a word.
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
  // While the others became quiet, their clients were still sent here.
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
  // Stops the timer that looks for slow clients; the socket is closed already.
  server.close(() => undefined);
}

/**
 * A connection that the kernel has taken but we have not would be reset when the listener closes. Every answer makes its
 * client connect again, so for a moment none is given: the clients wait with us, and the queue runs empty.
 */
async function emptyConnectionQueue(state: ServerState): Promise<void> {
  state.held = [];
  state.lastConnectionAtMs = performance.now();
  await waitForQuiet(state);
}

/** Until nobody new has come for a moment. */
async function waitForQuiet(state: ServerState): Promise<void> {
  await waitUntil(
    () => performance.now() - state.lastConnectionAtMs > QUIET_MS,
    performance.now() + QUIET_LIMIT_MS,
  );
}

async function waitUntil(done: () => boolean, deadlineMs: number): Promise<void> {
  while (!done() && performance.now() < deadlineMs) await delay(20);
}
