// Owns what every request passes first, whatever it is for: its id, the security headers, CORS, the log line.
import { randomUUID } from "node:crypto";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import cors from "cors";
import helmet from "helmet";
import { pinoHttp } from "pino-http";
import type { Config } from "../config.ts";
import type { Logger } from "../logger.ts";
import { setRequestId } from "./answer.ts";

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
  const log = pinoHttp<IncomingMessage, ServerResponse>({
    logger: deps.logger,
    quietReqLogger: true,
    genReqId: (request, response) => {
      const sent = request.headers["x-request-id"];
      const id = typeof sent === "string" && /^[\w.:-]{1,64}$/.test(sent) ? sent : randomUUID();
      setRequestId(request, id);
      response.setHeader("X-Request-Id", id);
      return id;
    },
    autoLogging: { ignore: (request) => QUIET_PATHS.has(pathOf(request.url)) },
    customLogLevel: (_request, response, error) =>
      response.statusCode >= 500 || error ? "error" : "info",
    serializers: {
      req: (request: { id: string; method: string; url: string }) => ({
        id: request.id,
        method: request.method,
        path: pathOf(request.url).slice(0, 200),
      }),
      res: (response: { statusCode: number | null }) => ({ statusCode: response.statusCode }),
    },
  });
  return (request, response, next) => {
    log(request, response);
    for (const [name, value] of headers) response.setHeader(name, value);
    // Answers here are about one person or about money; the few that may be kept say so themselves.
    response.setHeader("Cache-Control", "no-store");
    allowOrigins(request, response, next);
  };
}
