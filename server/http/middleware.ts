// The first steps of every request, whatever its path: its id, the security headers, CORS, the log line.
import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Config } from "../config/config.ts";
import type { Logger } from "../lib/logger.ts";
import { ResponseHeaders } from "./response-headers.ts";
import { createCors, createHeaderBlocks } from "./common-headers.ts";
import { originForm, pathOf } from "./path.ts";
import { createRequestLog } from "./request-log.ts";
import { openRecord } from "./request-record.ts";
import { sendError } from "./response.ts";

/** Answers a request itself or calls `next` with the headers of its response. */
export type HttpMiddleware = (
  request: IncomingMessage,
  response: ServerResponse,
  next: (headers: ResponseHeaders) => void,
) => void;

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

function isAdmissible({ method = "", headers, httpVersion }: IncomingMessage): boolean {
  return METHODS.includes(method) && (headers.host !== undefined || httpVersion !== "1.1");
}

/** Refuses a request that is inadmissible whatever its path: 405 for an unsupported method, else 400. */
function refuse(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader("Connection", "close");
  if (METHODS.includes(request.method ?? "")) {
    sendError(request, response, { statusCode: 400 });
    return;
  }
  // TRACE would echo headers that scripts must not see.
  response.setHeader("Allow", METHODS.join(", "));
  sendError(request, response, { statusCode: 405 });
}

/** Returns the client's X-Request-Id if it is well-formed, else a new id. */
function idOf(request: IncomingMessage): string {
  const sent = request.headers["x-request-id"];
  return typeof sent === "string" && /^[\w.:-]{1,64}$/.test(sent) ? sent : randomUUID();
}

/**
 * Creates the middleware of every request: reduces an absolute-form target to its path, refuses unsupported methods
 * (TRACE) and requests without a host, echoes a well-formed X-Request-Id or makes one, prepares the security and CORS
 * headers, answers CORS preflights, and logs one line at the end.
 */
export function createMiddleware(deps: {
  config: Pick<Config, "google" | "frontendOrigins">;
  logger: Logger;
}): HttpMiddleware {
  const commonHeaders = createHeaderBlocks(deps.config);
  const allowOrigins = createCors(deps.config);
  const logAtEnd = createRequestLog(deps.logger);
  return (request, response, next) => {
    request.url = originForm(request.url ?? "/");
    const record = openRecord(request, idOf(request));
    logAtEnd({ request, response, record, path: pathOf(request.url) });
    const headers = new ResponseHeaders(
      response,
      commonHeaders(request.headers.origin),
      record.requestId,
    );
    if (isAdmissible(request) && request.method !== "OPTIONS") {
      next(headers);
      return;
    }
    headers.handOver();
    allowOrigins(request, response, () => {
      if (isAdmissible(request)) next(headers);
      else refuse(request, response);
    });
  };
}
