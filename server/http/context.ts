// Turns an HTTP request into the plain facts procedures see.
import type { IncomingMessage } from "node:http";
import type { Principal } from "../auth/auth.types.ts";
import type { Config } from "../config/config.ts";
import type { Logger } from "../lib/logger.ts";
import type { Tracer } from "../lib/tracer.ts";
import type { Context, Reply, RequestFacts, Services } from "../trpc/context.ts";
import type { RateLimits } from "../trpc/limits.ts";
import type { ReplyHeaders } from "./response-headers.ts";
import { readRefreshCookies, refreshCookie } from "./cookies.ts";
import { recordOf } from "./request-record.ts";

/** No legitimate header is longer; a longer one is ignored. */
const MAX_BEARER_LENGTH = 4_096;

/** Returns the token of `Authorization: Bearer …`, or null. */
export function bearerOf(request: IncomingMessage): string | null {
  const header = request.headers.authorization;
  if (header === undefined || header.length > MAX_BEARER_LENGTH) return null;
  return /^Bearer +([^\s]+) *$/i.exec(header)?.[1] ?? null;
}

/**
 * Returns the Origin header, or null when the browser says that the request came from a page on this same host. Pages
 * cannot set Sec-Fetch-Site, and the only page here is /api/docs.
 */
function originOf({ headers }: IncomingMessage): string | null {
  return headers["sec-fetch-site"] === "same-origin" ? null : (headers.origin ?? null);
}

/** Creates the context of a request; the headers and cookies of its reply go to `headers`. */
export type CreateContext = (request: IncomingMessage, headers: ReplyHeaders) => Context;

/** Dependencies of contexts. */
export interface ContextDeps {
  readonly services: Services;
  readonly limits: RateLimits;
  readonly logger: Logger;
  readonly tracer: Tracer | null;
  readonly config: Pick<Config, "cookies">;
  readonly clientAddress: (request: IncomingMessage) => string;
}

/** Creates the function that makes each request's context. */
export function createContextFactory(deps: ContextDeps): CreateContext {
  const { services, limits, logger, tracer } = deps;
  return (request, headers) => {
    const { requestId, notes } = recordOf(request);
    const facts = new HttpFacts(deps, request, requestId);
    let principal: Promise<Principal> | undefined;
    return {
      request: facts,
      reply: createReply(headers, deps.config.cookies),
      services,
      limits,
      logger,
      tracer,
      notes,
      principal: () => (principal ??= services.auth.authenticate(facts.bearer)),
      watchAuthority: () => services.auth.watchAuthority(facts.bearer),
    };
  };
}

/** The facts of a request, computed on demand because most procedures use only one or two. */
class HttpFacts implements RequestFacts {
  readonly requestId: string;
  /** Read immediately: a closed socket no longer has an address. */
  readonly ip: string;
  private readonly deps: ContextDeps;
  private readonly source: IncomingMessage;

  constructor(deps: ContextDeps, source: IncomingMessage, requestId: string) {
    this.deps = deps;
    this.source = source;
    this.requestId = requestId;
    this.ip = deps.clientAddress(source);
  }

  get hasDisconnected(): boolean {
    return this.source.socket.destroyed;
  }

  get userAgent(): string | null {
    return this.source.headers["user-agent"] ?? null;
  }

  get origin(): string | null {
    return originOf(this.source);
  }

  get bearer(): string | null {
    return bearerOf(this.source);
  }

  get refreshCookies(): readonly string[] {
    return readRefreshCookies(this.source.headers.cookie, this.deps.config.cookies);
  }
}

function createReply(headers: ReplyHeaders, cookies: Config["cookies"]): Reply {
  return {
    setHeader(name, value) {
      if (!headers.headersSent) headers.setHeader(name, value);
    },
    setRateState({ limit, remaining, resetSeconds }) {
      if (headers.headersSent) return;
      // A call may count in two windows, and calls of a batch end in any order: the lowest `remaining` is reported.
      const before = headers.getHeader("RateLimit-Remaining");
      if (before !== undefined && Number(before) <= remaining) return;
      headers.setHeader("RateLimit-Limit", String(limit));
      headers.setHeader("RateLimit-Remaining", String(remaining));
      headers.setHeader("RateLimit-Reset", String(resetSeconds));
    },
    setRefreshCookie(token, maxAgeSeconds) {
      if (headers.headersSent) return;
      headers.appendHeader("Set-Cookie", refreshCookie(token, maxAgeSeconds, cookies));
    },
    closed: () =>
      new Promise((resolve) => {
        if (headers.destroyed) resolve();
        else headers.once("close", resolve);
      }),
  };
}
