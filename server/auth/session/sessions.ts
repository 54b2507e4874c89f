// How users list their own sessions and end them.
import { notFound } from "../../lib/errors.ts";
import type { Principal, SessionLine } from "../auth.types.ts";
import type { SessionStore } from "../ports.ts";
import type { SessionCache } from "./session-cache.ts";

interface Deps {
  readonly sessions: SessionStore;
  readonly sessionCache: Pick<SessionCache, "invalidate">;
  readonly now: () => number;
}

/** Returns the caller's live sessions, most recently used first. */
export async function listSessions(
  { sessions, now }: Pick<Deps, "sessions" | "now">,
  principal: Principal,
): Promise<{ sessions: SessionLine[] }> {
  const live = await sessions.live(principal.userId, new Date(now()));
  return {
    sessions: live.map((session) => ({
      id: session.id,
      current: session.id === principal.sessionId,
      userAgent: session.userAgent,
      ipAddress: session.ipAddress,
      createdAt: session.createdAt.toISOString(),
      lastUsedAt: session.lastUsedAt.toISOString(),
      expiresAt: session.expiresAt.toISOString(),
    })),
  };
}

/** Ends one of the caller's own sessions. Safe to repeat. Throws NOT_FOUND for any other session. */
export async function revokeOne(
  { sessions, sessionCache, now }: Deps,
  principal: Principal,
  sessionId: string,
): Promise<void> {
  if (await sessions.revoke(sessionId, "revoked", new Date(now()), principal.userId)) {
    await sessionCache.invalidate();
  } else if (!(await sessions.owns(principal.userId, sessionId))) {
    // Another user's session looks the same from outside as none.
    throw notFound("session");
  }
}

/** Ends every session of the caller, including this one. Returns how many. */
export async function revokeAll(
  { sessions, sessionCache, now }: Deps,
  principal: Principal,
): Promise<{ revoked: number }> {
  const revoked = await sessions.revokeAll(principal.userId, new Date(now()));
  await sessionCache.invalidate();
  return { revoked };
}
