// Refresh-token rotation, with a grace period for honest races and revocation when a stolen token is reused.
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

/** Within this time, two tabs that refresh concurrently get the same successor (docs/decisions/0031). */
const GRACE_SECONDS = 10;
/** After a lost race the session is read again; the second read finds the winner's rotation. */
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
  /** Writes in flight that end a grace period; the service waits for them when it closes. */
  readonly pendingGraceEnds: Set<Promise<void>>;
  readonly logger: Logger;
  readonly now: () => number;
}

/** A presented token and the session that it names, as just read. */
interface Presented {
  readonly token: RefreshToken;
  readonly session: SessionRecord;
  readonly request: RefreshRequest;
  /** Whether an earlier read for this request found the token to be the session's current one. */
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
    // Null only if another refresh won the rotation, so a token that is checked again was the current one.
    if (successor === null) continue;
    const { userId, sessionId, authVersion } = session;
    const signed = await deps.accessTokens.sign(
      { userId, sessionId, authVersion },
      session.absoluteExpiresAt.getTime(),
    );
    const rotatedNow = token.generation === session.generation;
    // If the end of the grace period was never written, the response that makes use of it writes it.
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

/** Decides what the token means to its session; null = another refresh came in between, read again. */
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
  // The tag is ours, but the database does not know the token (it was restored from an older backup): not a theft.
  if (token.generation > session.generation) throw unknown();
  if (!(await isWithinGrace(deps, presented))) {
    // No theft if the token was current on arrival and has been overtaken twice since; the client retries with its
    // current one. Nor if the client has disconnected: the request may have waited here until its token was old, and a
    // thief who disconnects gets nothing.
    const isTheft = !presented.wasCurrent && request.hasDisconnected?.() !== true;
    throw isTheft ? await reportReuse(deps, presented) : tryAgain();
  }
  const next = refreshTokens
    .successors(token)
    .find((successor) => refreshTokens.matches(successor, session.tokenHash));
  // Rotated by an instance whose first secret this one does not have yet: no theft; a retry may reach another instance.
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
    // Null: the server may have died after rotating, so the client may never have received the successor.
    (session.graceEndsAt === null || (await sessions.clock()) <= session.graceEndsAt)
  );
}

/** Revokes the session, and so the whole token family. Returns the refusal. */
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
 * Ends the grace period in the background, while the response is sent. Until this write lands, the previous token still
 * gets its successor, so a crash between the two steps locks nobody out. Afterwards the previous token is accepted for
 * 10 s; then it counts as stolen.
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
