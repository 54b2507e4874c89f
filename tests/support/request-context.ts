// The context for calling a procedure without HTTP.
import type { Principal } from "../../server/auth/auth.types.ts";
import type { Context } from "../../server/trpc/context.ts";
import { emptyNotes } from "../../server/trpc/notes.ts";
import type { TestApp } from "./server.ts";

/** Returns a request context for this user, or with this bearer token; its limits are never reached. */
export function contextOf(
  { services, logger }: TestApp,
  { userId = "", bearer = null }: { userId?: string; bearer?: string | null },
): Context {
  return {
    request: {
      requestId: "test",
      ip: "127.0.0.1",
      userAgent: null,
      origin: null,
      bearer,
      refreshCookies: [],
      hasDisconnected: false,
    },
    reply: {
      setHeader: () => undefined,
      setRateState: () => undefined,
      setRefreshCookie: () => undefined,
      closed: () => Promise.resolve(),
    },
    tracer: null,
    services,
    limits: { consume: () => Promise.resolve() },
    logger,
    notes: emptyNotes(),
    principal: (): Promise<Principal> => Promise.resolve({ userId, sessionId: "s", role: "USER" }),
    watchAuthority: () => ({ signal: new AbortController().signal, stop: () => undefined }),
  };
}
