// Owns staying signed in: refresh-token rotation with a grace for honest races, and the end of a stolen family.
import { AppError } from "../../lib/errors.ts";
import type { Access } from "./authenticate.ts";
import type {
  AuthService,
  AuthServiceDeps,
  RefreshAnswer,
  RefreshRequest,
} from "../auth.service.ts";
import { clientFacts } from "./client-info.ts";
import { createRefreshTokens, type RefreshToken } from "./refresh-token.ts";
import type { SessionRecord } from "../ports.ts";

/** Two tabs that refresh at once get the same successor within this time (DESIGN.md 3.6). */
export const GRACE_SECONDS = 10;
/** A lost race is read again; the second reading finds the winner's rotation. */
const MAX_READS = 3;

const tryAgain = () =>
  AppError.of("SERVICE_UNAVAILABLE", "Please try again.", { retryAfterSeconds: 1 });
const unknown = () => AppError.of("UNAUTHENTICATED", "Please sign in.");

/** Makes the refresh side of the auth service. */
export function createRefresh(
  deps: Pick<AuthServiceDeps, "sessions" | "logger"> & {
    config: Pick<AuthServiceDeps["config"], "tokens" | "frontendOrigins">;
    now: () => number;
    access: Pick<Access, "sign" | "changed">;
  },
): Pick<AuthService, "refresh" | "refreshSession" | "logout" | "requireOwnOrigin" | "close"> {
  const { sessions, now, access } = deps;
  const { refreshSecrets, refreshTtlSeconds } = deps.config.tokens;
  const tokens = createRefreshTokens(refreshSecrets);
  const ownOrigins = new Set(deps.config.frontendOrigins);
  const unfinished = new Set<Promise<void>>();

  function requireOwnOrigin(request: { origin: string | null; refreshCookies: readonly string[] }) {
    if (request.refreshCookies.length === 0) return;
    // A browser sends Origin with every POST (Fetch standard, "append a request Origin header"): foreign, or `null` where
    // nobody vouches for the page. Without the header it is no browser, and nobody was lured into sending it.
    if (request.origin !== null && !ownOrigins.has(request.origin)) {
      throw AppError.of("FORBIDDEN", "This request must come from our own pages.");
    }
  }

  /** The token of the request. A body token stands for itself; cookies must agree. */
  function shown(request: Pick<RefreshRequest, "bodyToken" | "cookieTokens">): {
    token: RefreshToken | null;
    inBody: boolean;
  } {
    if (request.bodyToken !== undefined) {
      return { token: tokens.parse(request.bodyToken), inBody: true };
    }
    // Two different cookies of one name mean that somebody else planted one. Picking the one that works could sign the
    // person into the planter's account (login CSRF), so neither counts. `__Host-` makes this impossible on https.
    const [first, ...others] = new Set(request.cookieTokens);
    if (first === undefined || others.length > 0) return { token: null, inBody: false };
    return { token: tokens.parse(first), inBody: false };
  }

  function presented(request: RefreshRequest): { token: RefreshToken | null; inBody: boolean } {
    requireOwnOrigin({ origin: request.origin, refreshCookies: request.cookieTokens });
    return shown(request);
  }

  /** Decides what `token` is to its session; null = read again, another refresh came in between. */
  async function advance(
    token: RefreshToken,
    session: SessionRecord,
    request: RefreshRequest,
  ): Promise<{ next: RefreshToken; expiresAt: Date } | null> {
    if (session.ended) throw AppError.of("SESSION_REVOKED", "This session has ended.");
    const nowMs = now();
    if (nowMs >= Math.min(session.expiresAt.getTime(), session.absoluteExpiresAt.getTime())) {
      throw AppError.of("TOKEN_EXPIRED", "This sign-in has expired. Please sign in again.");
    }
    if (token.generation === session.generation) {
      if (!tokens.matches(token, session.tokenHash)) throw unknown();
      return rotate(token, session, request, nowMs);
    }
    // The tag vouches for it, yet the database never heard of it (restored from an older backup): not a theft.
    if (token.generation > session.generation) throw unknown();
    if (await isWithinGrace(token, session)) {
      const next = tokens
        .successors(token)
        .find((successor) => tokens.matches(successor, session.tokenHash));
      if (next !== undefined) return { next, expiresAt: session.expiresAt };
      // Rotated by an instance whose first secret this one does not have yet: no theft, ask another instance.
      throw tryAgain();
    }
    throw await reused(token, session, request);
  }

  async function rotate(
    token: RefreshToken,
    session: SessionRecord,
    request: RefreshRequest,
    nowMs: number,
  ) {
    const next = tokens.successor(token);
    const expiresAt = new Date(
      Math.min(nowMs + refreshTtlSeconds * 1000, session.absoluteExpiresAt.getTime()),
    );
    const rotated = await sessions.rotate({
      sessionId: session.sessionId,
      fromGeneration: session.generation,
      fromHash: session.tokenHash,
      toHash: tokens.hash(next),
      at: new Date(nowMs),
      expiresAt,
      client: clientFacts(request),
    });
    return rotated ? { next, expiresAt } : null;
  }

  async function isWithinGrace(token: RefreshToken, session: SessionRecord): Promise<boolean> {
    return (
      token.generation === session.generation - 1 &&
      session.previousTokenHash !== null &&
      tokens.matches(token, session.previousTokenHash) &&
      // Unsealed: the server died after rotating, so nobody may ever have got the successor.
      (session.graceEndsAt === null || (await sessions.clock()) <= session.graceEndsAt)
    );
  }

  async function reused(
    token: RefreshToken,
    session: SessionRecord,
    request: RefreshRequest,
  ): Promise<AppError> {
    if (await sessions.revoke(session.sessionId, "reuse", new Date(now()), session.userId)) {
      deps.logger.warn(
        {
          event: "refresh token reused",
          userId: session.userId,
          sessionId: session.sessionId,
          ip: clientFacts(request).ip,
          generation: token.generation,
          currentGeneration: session.generation,
        },
        "a refresh token was used again: session revoked",
      );
    }
    await access.changed();
    return AppError.of("REFRESH_REUSED", "This sign-in was ended to protect the account.");
  }

  /**
   * Ends the grace once the answer is under way, outside of it: until this write lands the previous token keeps its
   * successor, so a crash between the two steps locks nobody out; afterwards it is good for 10 s and then a theft.
   */
  function sealSoon(token: RefreshToken): void {
    const work = sessions
      .seal(token.sessionId, token.generation, GRACE_SECONDS)
      .catch((error: unknown) => deps.logger.warn({ err: error }, "could not end a refresh grace"))
      .finally(() => unfinished.delete(work));
    unfinished.add(work);
  }

  return {
    requireOwnOrigin,
    refreshSession: (request) => shown(request).token?.sessionId ?? null,
    async refresh(request): Promise<RefreshAnswer> {
      const { token, inBody } = presented(request);
      if (token === null) throw unknown();
      for (let attempt = 0; attempt < MAX_READS; attempt++) {
        const session = await sessions.find(token.sessionId);
        if (session === null) throw unknown();
        const step = await advance(token, session, request);
        if (step === null) continue;
        const { userId, sessionId, authVersion } = session;
        const signed = await access.sign(
          { userId, sessionId, authVersion },
          session.absoluteExpiresAt.getTime(),
        );
        if (token.generation === session.generation) sealSoon(step.next);
        return {
          accessToken: signed.token,
          expiresAt: signed.expiresAt.toISOString(),
          refreshToken: step.next.text,
          transport: inBody ? "body" : "cookie",
          maxAgeSeconds: Math.floor((step.expiresAt.getTime() - now()) / 1000),
        };
      }
      throw tryAgain();
    },
    async logout(request) {
      const { token } = presented(request);
      if (token === null) return;
      if (await sessions.revoke(token.sessionId, "logout", new Date(now()))) await access.changed();
    },
    async close() {
      await Promise.all(unfinished);
    },
  };
}
