// Staying signed in: refresh-token rotation with a grace for honest races, and the end of a stolen family.
import type { Config } from "../../config/config.ts";
import { AppError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/logger.ts";
import type { RefreshRequest, RefreshResult, SessionRecord } from "../auth.types.ts";
import type { SessionStore } from "../ports.ts";
import type { AccessTokens } from "./access-token.ts";
import { clientFacts } from "./client-info.ts";
import { presentedToken } from "./presented-token.ts";
import type { RefreshToken, RefreshTokens } from "./refresh-token.ts";
import type { SessionCache } from "./session-cache.ts";

/** Two tabs that refresh at once get the same successor within this time (docs/decisions/0031). */
const GRACE_SECONDS = 10;
/** A lost race is read again; the second reading finds the winner's rotation. */
const MAX_READS = 3;

/** Dependencies of rotation. */
export interface RefreshDeps {
  readonly config: {
    readonly tokens: Pick<Config["tokens"], "refreshTtlSeconds">;
    readonly frontendOrigins: readonly string[];
  };
  readonly sessions: Pick<SessionStore, "find" | "rotate" | "clock" | "endGrace" | "revoke">;
  readonly refreshTokens: RefreshTokens;
  readonly accessTokens: Pick<AccessTokens, "sign">;
  readonly sessionCache: Pick<SessionCache, "invalidate">;
  /** Grace periods that are still being written; the service waits for them when it closes. */
  readonly pendingGraceEnds: Set<Promise<void>>;
  readonly logger: Logger;
  readonly now: () => number;
}

/** A presented token and the session that it names, as read a moment ago. */
interface Presented {
  readonly token: RefreshToken;
  readonly session: SessionRecord;
  readonly request: RefreshRequest;
  /** Whether an earlier reading for this request found it to be the session's current one. */
  readonly wasCurrent: boolean;
}

interface Successor {
  readonly next: RefreshToken;
  readonly expiresAt: Date;
}

const tryAgain = () =>
  AppError.of("SERVICE_UNAVAILABLE", "Please try again.", { retryAfterSeconds: 1 });
const unknown = () => AppError.of("UNAUTHENTICATED", "Please sign in.");

/**
 * Returns the successor of the presented refresh token and a new access token.
 * Throws UNAUTHENTICATED, TOKEN_EXPIRED, SESSION_REVOKED, REFRESH_REUSED, SERVICE_UNAVAILABLE; FORBIDDEN for a cookie
 * from a foreign origin.
 */
export async function rotateRefreshToken(
  deps: RefreshDeps,
  request: RefreshRequest,
): Promise<RefreshResult> {
  const { token, inBody } = presentedToken(deps, request);
  if (token === null) throw unknown();
  for (let read = 0; read < MAX_READS; read++) {
    const session = await deps.sessions.find(token.sessionId);
    if (session === null) throw unknown();
    const successor = await findSuccessor(deps, { token, session, request, wasCurrent: read > 0 });
    // Only a rotation is lost to another refresh: what is read again was the current token.
    if (successor === null) continue;
    const { userId, sessionId, authVersion } = session;
    const signed = await deps.accessTokens.sign(
      { userId, sessionId, authVersion },
      session.absoluteExpiresAt.getTime(),
    );
    const rotatedNow = token.generation === session.generation;
    // A grace whose end was never written ends with the answer that makes use of it.
    if (rotatedNow || session.graceEndsAt === null) endGraceLater(deps, successor.next);
    return {
      accessToken: signed.token,
      expiresAt: signed.expiresAt.toISOString(),
      refreshToken: successor.next.text,
      transport: inBody ? "body" : "cookie",
      maxAgeSeconds: Math.floor((successor.expiresAt.getTime() - deps.now()) / 1000),
    };
  }
  throw tryAgain();
}

/** Decides what the token is to its session; null = read again, another refresh came in between. */
async function findSuccessor(deps: RefreshDeps, presented: Presented): Promise<Successor | null> {
  const { token, session, request } = presented;
  const { refreshTokens } = deps;
  if (session.ended) throw AppError.of("SESSION_REVOKED", "This session has ended.");
  const endsAtMs = Math.min(session.expiresAt.getTime(), session.absoluteExpiresAt.getTime());
  const nowMs = deps.now();
  if (nowMs >= endsAtMs) {
    throw AppError.of("TOKEN_EXPIRED", "This sign-in has expired. Please sign in again.");
  }
  if (token.generation === session.generation) {
    if (!refreshTokens.matches(token, session.tokenHash)) throw unknown();
    return rotate(deps, presented, nowMs);
  }
  // The tag vouches for it, yet the database never heard of it (restored from an older backup): not a theft.
  if (token.generation > session.generation) throw unknown();
  if (!(await isWithinGrace(deps, presented))) {
    // Good when it came, and overtaken twice since: no theft. Whoever sent it asks again, with what is current by then.
    // Nor is one whose client has left: it may have waited here until it was old, and a thief who leaves gets nothing.
    const isTheft = !presented.wasCurrent && request.hasLeft?.() !== true;
    throw isTheft ? await reportReuse(deps, presented) : tryAgain();
  }
  const next = refreshTokens
    .successors(token)
    .find((successor) => refreshTokens.matches(successor, session.tokenHash));
  // Rotated by an instance whose first secret this one does not have yet: no theft, ask another instance.
  if (next === undefined) throw tryAgain();
  return { next, expiresAt: session.expiresAt };
}

async function rotate(
  deps: RefreshDeps,
  { token, session, request }: Presented,
  nowMs: number,
): Promise<Successor | null> {
  const next = deps.refreshTokens.successor(token);
  const slidesToMs = nowMs + deps.config.tokens.refreshTtlSeconds * 1000;
  const expiresAt = new Date(Math.min(slidesToMs, session.absoluteExpiresAt.getTime()));
  const rotated = await deps.sessions.rotate({
    sessionId: session.sessionId,
    fromGeneration: session.generation,
    fromHash: session.tokenHash,
    toHash: deps.refreshTokens.hash(next),
    at: new Date(nowMs),
    expiresAt,
    client: clientFacts(request),
  });
  return rotated ? { next, expiresAt } : null;
}

async function isWithinGrace(
  { refreshTokens, sessions }: RefreshDeps,
  { token, session }: Presented,
): Promise<boolean> {
  return (
    token.generation === session.generation - 1 &&
    session.previousTokenHash !== null &&
    refreshTokens.matches(token, session.previousTokenHash) &&
    // Never ended: the server died after rotating, so nobody may ever have got the successor.
    (session.graceEndsAt === null || (await sessions.clock()) <= session.graceEndsAt)
  );
}

/** Revokes the whole family and returns the refusal. */
async function reportReuse(
  deps: RefreshDeps,
  { token, session, request }: Presented,
): Promise<AppError> {
  const { sessions, logger, now } = deps;
  if (await sessions.revoke(session.sessionId, "reuse", new Date(now()), session.userId)) {
    logger.warn(
      {
        event: "refresh token reused",
        userId: session.userId,
        sessionId: session.sessionId,
        ip: request.ip,
        generation: token.generation,
        currentGeneration: session.generation,
      },
      "a refresh token was used again: session revoked",
    );
  }
  await deps.sessionCache.invalidate();
  return AppError.of("REFRESH_REUSED", "This sign-in was ended to protect the account.");
}

/**
 * Ends the grace once the answer is under way, outside of it: until this write lands the previous token keeps its
 * successor, so a crash between the two steps locks nobody out; afterwards it is good for 10 s and then a theft.
 */
function endGraceLater(
  { sessions, pendingGraceEnds, logger }: RefreshDeps,
  token: RefreshToken,
): void {
  const ending = sessions
    .endGrace(token.sessionId, token.generation, GRACE_SECONDS)
    .catch((error: unknown) =>
      logger.warn({ err: error }, "could not end the grace period of a refresh token"),
    )
    .finally(() => pendingGraceEnds.delete(ending));
  pendingGraceEnds.add(ending);
}
