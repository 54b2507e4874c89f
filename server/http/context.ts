// Turns an HTTP request into the plain facts procedures see.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Principal } from "../auth/auth.types.ts";
import type { Config } from "../config/config.ts";
import type { Logger } from "../lib/logger.ts";
import type { Context, Reply, Services } from "../trpc/context.ts";
import type { RateLimits } from "../trpc/limits.ts";
import { requestIdOf } from "./response.ts";
import { readRefreshCookies, refreshCookie } from "./cookies.ts";

/** No honest header is longer; a longer one is not even looked at. */
const MAX_BEARER_LENGTH = 4_096;
const MAX_USER_AGENT_LENGTH = 512;

/** The token of `Authorization: Bearer …`, or null. */
export function bearerOf(request: IncomingMessage): string | null {
  const header = request.headers.authorization;
  if (header === undefined || header.length > MAX_BEARER_LENGTH) return null;
  return /^Bearer +([^\s]+) *$/i.exec(header)?.[1] ?? null;
}

/**
 * The Origin header; null for a request that a browser says a page of this very host sent. Pages cannot set Sec-Fetch-Site,
 * and the only page here is /api/docs.
 */
function originOf({ headers }: IncomingMessage): string | null {
  return headers["sec-fetch-site"] === "same-origin" ? null : (headers.origin ?? null);
}

/** Makes the function that gives each request its context. */
export function createContextFactory(deps: {
  services: Services;
  limits: RateLimits;
  logger: Logger;
  config: Pick<Config, "cookies">;
  clientAddress: (request: IncomingMessage) => string;
}): (request: IncomingMessage, response: ServerResponse) => Context {
  const { services, limits } = deps;
  return (request, response) => {
    const requestId = requestIdOf(request);
    const bearer = bearerOf(request);
    let principal: Promise<Principal> | undefined;
    return {
      request: {
        requestId,
        ip: deps.clientAddress(request),
        userAgent: request.headers["user-agent"]?.slice(0, MAX_USER_AGENT_LENGTH) ?? null,
        origin: originOf(request),
        bearer,
        refreshCookies: readRefreshCookies(request.headers.cookie, deps.config.cookies),
      },
      reply: createReply(response, deps.config.cookies),
      services,
      limits,
      logger: deps.logger,
      principal: () => (principal ??= services.auth.authenticate(bearer)),
      watchAuthority: () => services.auth.watchAuthority(bearer),
    };
  };
}

function createReply(response: ServerResponse, cookies: Config["cookies"]): Reply {
  return {
    setHeader(name, value) {
      if (response.headersSent) return;
      // Calls of a batch end in any order: what remains is the least that any of them was told.
      if (name === "RateLimit-Remaining") {
        const before = Number(response.getHeader(name) ?? Number.POSITIVE_INFINITY);
        if (before < Number(value)) return;
      }
      response.setHeader(name, value);
    },
    setRefreshCookie(token, maxAgeSeconds) {
      if (response.headersSent) return;
      response.appendHeader("Set-Cookie", refreshCookie(token, maxAgeSeconds, cookies));
    },
  };
}
