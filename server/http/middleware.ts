// What every request passes first, whatever it is for: its id, the security headers, CORS, the log line.
import { randomUUID } from "node:crypto";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import cors from "cors";
import helmet from "helmet";
import type { Config } from "../config/config.ts";
import type { Logger } from "../lib/logger.ts";
import { sendError, setRequestId } from "./response.ts";
import type { CommonHeaders } from "./client-errors.ts";

/** Handles a request or leaves it to `next`. */
export type HttpMiddleware = (
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

/** The request target as a path: a proxy's form (`GET http://host/path`, RFC 9112 3.2.2) names the same thing. */
function originForm(target: string): string {
  const rest = /^https?:\/\/[^/?#]*(.*)$/is.exec(target)?.[1];
  if (rest === undefined) return target;
  return rest.startsWith("/") ? rest : `/${rest}`;
}

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** Answers what is refused whatever it is for; false when the request may go on. */
function isInadmissible(request: IncomingMessage, response: ServerResponse): boolean {
  if (request.headers.host === undefined && request.httpVersion === "1.1") {
    response.setHeader("Connection", "close");
    sendError(request, response, { statusCode: 400 });
    return true;
  }
  if (METHODS.includes(request.method ?? "")) return false;
  // TRACE would send headers back that scripts must not see.
  response.setHeader("Allow", METHODS.join(", "));
  response.setHeader("Connection", "close");
  sendError(request, response, { statusCode: 405 });
  return true;
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

const EXPOSED_HEADERS = [
  "x-request-id",
  "ratelimit-limit",
  "ratelimit-remaining",
  "ratelimit-reset",
  "retry-after",
];

/** The headers of answers that are no request's: a page of ours must be able to read those too. */
export function createCommonHeaders(
  config: Pick<Config, "google" | "frontendOrigins">,
): CommonHeaders {
  const security = securityHeaders(config.google.callbackUrl.startsWith("https:"));
  return (origin) => {
    // Where the origin was not understood, the first of ours is named: a browser of any other still reads nothing.
    const allowed = origin ?? config.frontendOrigins[0];
    return [
      ...security,
      ["X-Request-Id", randomUUID()],
      ["Cache-Control", "no-store"],
      ["Vary", "Origin"],
      ["Access-Control-Allow-Credentials", "true"],
      ["Access-Control-Expose-Headers", EXPOSED_HEADERS.join(",")],
      ...(config.frontendOrigins.includes(allowed)
        ? [["Access-Control-Allow-Origin", allowed] as const]
        : []),
    ];
  };
}

/**
 * The middleware of every request: takes a proxy's form of the target for the path it names, refuses TRACE and what names
 * no host, echoes a sane X-Request-Id or makes one, sets the security headers, answers CORS preflights, and logs one line
 * at the end (method, path without query, status, duration).
 */
export function createMiddleware(deps: {
  config: Pick<Config, "google" | "frontendOrigins">;
  logger: Logger;
}): HttpMiddleware {
  const headers = securityHeaders(deps.config.google.callbackUrl.startsWith("https:"));
  const allowOrigins = cors({
    origin: [...deps.config.frontendOrigins],
    credentials: true,
    methods: ["GET", "POST", "PATCH", "DELETE"],
    allowedHeaders: [
      "authorization",
      "content-type",
      "trpc-accept",
      "x-request-id",
      "last-event-id",
      // Some of tRPC's own clients send it.
      "x-trpc-source",
    ],
    exposedHeaders: EXPOSED_HEADERS,
    maxAge: 600,
  });
  return (request, response, next) => {
    request.url = originForm(request.url ?? "/");
    const requestId = idOf(request);
    setRequestId(request, requestId);
    response.setHeader("X-Request-Id", requestId);
    logAtEnd(deps.logger, request, response, requestId);
    for (const [name, value] of headers) response.setHeader(name, value);
    // Answers here are about one person or about money; the few that may be kept say so themselves.
    response.setHeader("Cache-Control", "no-store");
    allowOrigins(request, response, () => {
      if (!isInadmissible(request, response)) next();
    });
  };
}
