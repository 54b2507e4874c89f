// The headers every response carries (security and CORS), computed by helmet and cors once instead of per request.
import { randomUUID } from "node:crypto";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import cors from "cors";
import helmet from "helmet";
import type { Config } from "../config/config.ts";
import type { CommonHeaders } from "./client-errors.ts";

type Origins = Pick<Config, "google" | "frontendOrigins">;

/** Lower-case names and their values, alternating, as `writeHead` accepts them. */
export type RawHeaders = readonly string[];

const EXPOSED_HEADERS = [
  "x-request-id",
  "ratelimit-limit",
  "ratelimit-remaining",
  "ratelimit-reset",
  "retry-after",
];

/** Creates the CORS middleware; it answers preflights too. */
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

/** Creates the function that returns the headers of a response to a page of this origin, except X-Request-Id. */
export function createHeaderBlocks(config: Origins): (origin: string | undefined) => RawHeaders {
  const blockFor = (origin?: string) => {
    const response = emptyResponse(origin);
    setSecurityHeaders(config, response);
    // Most responses concern one person or money; the few that may be cached override this.
    response.setHeader("Cache-Control", "no-store");
    createCors(config)(response.req, response, () => undefined);
    return Object.entries(response.getHeaders()).flatMap(([name, value]) => [name, String(value)]);
  };
  const foreign = blockFor();
  const own = new Map(config.frontendOrigins.map((origin) => [origin, blockFor(origin)]));
  return (origin) => (origin === undefined ? foreign : (own.get(origin) ?? foreign));
}

/** Creates the headers of responses that belong to no request; our own pages must be able to read those too. */
export function createCommonHeaders(config: Origins): CommonHeaders {
  const blockFor = createHeaderBlocks(config);
  return (origin) => {
    // If the origin could not be read, our first one is allowed; pages of other origins still cannot read the response.
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
