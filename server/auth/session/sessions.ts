// Owns what a person sees of their own sign-ins, and how they end them.
import { AppError } from "../../lib/errors.ts";
import type { Access } from "./authenticate.ts";
import type { AuthService, AuthServiceDeps } from "../auth.service.ts";

/** One live session of the caller (`auth.sessions`). Dates are ISO 8601, UTC. */
export interface SessionLine {
  id: string;
  current: boolean;
  userAgent: string | null;
  ipAddress: string | null;
  createdAt: string;
  lastUsedAt: string;
  expiresAt: string;
}

/** Makes the sessions side of the auth service. */
export function createSessions(
  deps: Pick<AuthServiceDeps, "sessions"> & {
    now: () => number;
    access: Pick<Access, "changed">;
  },
): Pick<AuthService, "me" | "sessions" | "revokeSession" | "logoutAll" | "pruneSessions"> {
  const { sessions, now, access } = deps;
  return {
    async me(principal) {
      const user = await sessions.findUser(principal.userId);
      if (user === null) throw AppError.of("NOT_FOUND", "There is no such account.");
      return { user };
    },
    async sessions(principal) {
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
    },
    async revokeSession(principal, { sessionId }) {
      const at = new Date(now());
      if (await sessions.revoke(sessionId, "revoked", at, principal.userId)) {
        await access.changed();
      } else if (!(await sessions.owns(principal.userId, sessionId))) {
        // Another's session and no session look the same from outside.
        throw AppError.of("NOT_FOUND", "There is no such session.");
      }
    },
    // A day later than its end, so that clocks may differ and a late token still hears why it is refused.
    pruneSessions: () => sessions.prune(new Date(now() - 86_400_000)),
    async logoutAll(principal) {
      const revoked = await sessions.revokeAll(principal.userId, new Date(now()));
      await access.changed();
      return { revoked };
    },
  };
}
