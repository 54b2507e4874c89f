// Owns what every request passes first, whatever it is for: its id, the security headers, CORS, the log line.
import { randomUUID } from "node:crypto";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import cors from "cors";
import helmet from "helmet";
import type { Config } from "../config/config.ts";
import type { Logger } from "../lib/logger.ts";
import { setRequestId } from "./response.ts";

/** Handles a request or leaves it to `next`. */
export type EdgeMiddleware = (
  request: IncomingMessage,
  response: ServerResponse,
  next: () => void,
) => void;

/** Probes and scrapes would drown the log. */
const QUIET_PATHS = new Set(["/health", "/ready", "/metrics"]);

/** The path of a request line, without its query: a callback's query holds a code. */
export function pathOf(url: string | undefined): string {
  const path = url ?? "/";
  const end = path.search(/[?#]/);
  return end === -1 ? path : path.slice(0, end);
}

/** The id the client sent, when it is a sane one, else a new one. */
function idOf(request: IncomingMessage): string {
  const sent = request.headers["x-request-id"];
  return typeof sent === "string" && /^[\w.:-]{1,64}$/.test(sent) ? sent : randomUUID();
}

/** One line when the answer is out, or its client gone. By hand: a child logger for each request costs more than its line. */
function logAtEnd(
  logger: Logger,
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
): void {
  // Express changes the URL while it looks for a route.
  const path = pathOf(request.url);
  if (QUIET_PATHS.has(path)) return;
  const startedAtMs = Date.now();
  response.once("close", () => {
    const { statusCode } = response;
    const line = {
      reqId: requestId,
      req: { id: requestId, method: request.method, path: path.slice(0, 200) },
      res: { statusCode },
      responseTime: Date.now() - startedAtMs,
    };
    if (statusCode >= 500) logger.error(line, "request errored");
    else logger.info(line, response.writableEnded ? "request completed" : "request aborted");
  });
}

/** helmet's headers never change, so they are asked for once instead of at every request. */
function securityHeaders(https: boolean): [string, string][] {
  const request = new IncomingMessage(new Socket());
  const response = new ServerResponse(request);
  helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        baseUri: ["'none'"],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    strictTransportSecurity: https ? { maxAge: 31_536_000, includeSubDomains: true } : false,
    referrerPolicy: { policy: "no-referrer" },
    frameguard: { action: "deny" },
  })(request, response, () => undefined);
  return Object.entries(response.getHeaders()).map(([name, value]) => [name, String(value)]);
}

/**
 * The edge: echoes a sane X-Request-Id or makes one, sets the security headers, answers CORS preflights, logs one line at the
 * end of each request (method, path without query, status, duration).
 */
export function createEdge(deps: {
  config: Pick<Config, "google" | "frontendOrigins">;
  logger: Logger;
}): EdgeMiddleware {
  const headers = securityHeaders(deps.config.google.callbackUrl.startsWith("https:"));
  const allowOrigins = cors({
    origin: [...deps.config.frontendOrigins],
    credentials: true,
    methods: ["GET", "POST"],
    allowedHeaders: [
      "authorization",
      "content-type",
      "trpc-accept",
      "x-request-id",
      "last-event-id",
    ],
    exposedHeaders: [
      "x-request-id",
      "ratelimit-limit",
      "ratelimit-remaining",
      "ratelimit-reset",
      "retry-after",
    ],
    maxAge: 600,
  });
  return (request, response, next) => {
    const requestId = idOf(request);
    setRequestId(request, requestId);
    response.setHeader("X-Request-Id", requestId);
    logAtEnd(deps.logger, request, response, requestId);
    for (const [name, value] of headers) response.setHeader(name, value);
    // Answers here are about one person or about money; the few that may be kept say so themselves.
    response.setHeader("Cache-Control", "no-store");
    allowOrigins(request, response, next);
  };
}
