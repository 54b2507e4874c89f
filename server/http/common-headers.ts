// The headers that every answer carries: security and CORS, asked of helmet and cors once instead of at every request.
import { randomUUID } from "node:crypto";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import cors from "cors";
import helmet from "helmet";
import type { Config } from "../config/config.ts";
import type { CommonHeaders } from "./client-errors.ts";

type Origins = Pick<Config, "google" | "frontendOrigins">;

/** Names in lower case and values in turn, as `writeHead` takes them. */
export type RawHeaders = readonly string[];

const EXPOSED_HEADERS = [
  "x-request-id",
  "ratelimit-limit",
  "ratelimit-remaining",
  "ratelimit-reset",
  "retry-after",
];

/** The CORS rule; it answers preflights too. */
export function createCors({ frontendOrigins }: Pick<Config, "frontendOrigins">) {
  return cors({
    origin: [...frontendOrigins],
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
}

/** Makes the function that returns the headers of an answer to a page of this origin, all but the request's id. */
export function createHeaderBlocks(config: Origins): (origin: string | undefined) => RawHeaders {
  const blockFor = (origin?: string) => {
    const response = emptyResponse(origin);
    setSecurityHeaders(config, response);
    // Answers here are about one person or about money; the few that may be kept say so themselves.
    response.setHeader("Cache-Control", "no-store");
    createCors(config)(response.req, response, () => undefined);
    return Object.entries(response.getHeaders()).flatMap(([name, value]) => [name, String(value)]);
  };
  const foreign = blockFor();
  const own = new Map(config.frontendOrigins.map((origin) => [origin, blockFor(origin)]));
  return (origin) => (origin === undefined ? foreign : (own.get(origin) ?? foreign));
}

/** The headers of answers that are no request's: a page of ours must be able to read those too. */
export function createCommonHeaders(config: Origins): CommonHeaders {
  const blockFor = createHeaderBlocks(config);
  return (origin) => {
    // Where the origin was not understood, the first of ours is named: a browser of any other still reads nothing.
    const block = blockFor(origin ?? config.frontendOrigins[0]);
    const headers: [string, string][] = [["X-Request-Id", randomUUID()]];
    for (let index = 0; index < block.length; index += 2)
      headers.push([block[index] ?? "", block[index + 1] ?? ""]);
    return headers;
  };
}

function emptyResponse(origin: string | undefined): ServerResponse {
  const request = new IncomingMessage(new Socket());
  request.method = "GET";
  if (origin !== undefined) request.headers.origin = origin;
  return new ServerResponse(request);
}

function setSecurityHeaders({ google }: Origins, response: ServerResponse): void {
  const https = google.callbackUrl.startsWith("https:");
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
  })(response.req, response, () => undefined);
}
