// The second half of a sign-in: from the provider's callback to the session (OpenID Connect code flow, RFC 9700).
import { createHash } from "node:crypto";
import type { Config } from "../../config/config.ts";
import type { Cache } from "../../kv/ports.ts";
import type { Logger } from "../../lib/logger.ts";
import { asciiLowerCase } from "../../lib/text.ts";
import type {
  CallbackQuery,
  SignIn,
  SignInCookie,
  SignInRedirect,
  VerifiedIdentity,
} from "../auth.types.ts";
import type { IdentityProvider, SessionStore, WriteSignIn } from "../ports.ts";
import { clientFacts } from "../session/client-info.ts";
import type { RefreshToken, RefreshTokens } from "../session/refresh-token.ts";
import type { SessionCache } from "../session/session-cache.ts";
import { landingPage, refuseSignIn } from "./outcome.ts";
import { SignInFailure } from "./sign-in-error.ts";
import { type SignInState, type SignInStates, STATE_TTL_SECONDS } from "./sign-in-state.ts";

const MAX_CODE_LENGTH = 2048;
/** A browser has one refresh cookie; further ones are foreign. */
const MAX_FORMER = 2;

/** Dependencies of finishing a sign-in. */
interface FinishSignInDeps {
  readonly config: Pick<
    Config,
    "tokens" | "google" | "frontendOrigins" | "adminEmails" | "credits"
  >;
  readonly sessions: Pick<SessionStore, "revoke">;
  readonly writeSignIn: WriteSignIn;
  readonly usedStates: Pick<Cache, "setIfAbsent">;
  readonly identityProvider: Pick<IdentityProvider, "exchange">;
  readonly signInStates: SignInStates;
  readonly refreshTokens: RefreshTokens;
  readonly sessionCache: Pick<SessionCache, "invalidate">;
  readonly logger: Logger;
  readonly now: () => number;
}

/** The callback as the browser sent it. */
export interface CallbackRequest {
  readonly query: CallbackQuery;
  readonly stateCookies: readonly SignInCookie[];
  /** Every value sent under the refresh cookie's name. The sign-in they belong to ends when the new one begins. */
  readonly refreshCookies: readonly string[];
  readonly userAgent: string | null;
  readonly ip: string;
}

/** Returns a redirect with a session, or with a code of SIGN_IN_ERRORS. Never throws. */
export async function finishSignIn(
  deps: FinishSignInDeps,
  request: CallbackRequest,
): Promise<SignInRedirect> {
  const { query, stateCookies, ip } = request;
  const name = query.state === undefined ? null : deps.signInStates.cookieName(query.state);
  const wasSent = stateCookies.some((cookie) => cookie.name === name);
  const clearStateCookies = wasSent && name ? [name] : [];
  try {
    const state = await consumeState(deps, query, stateCookies);
    const identity = await redeemCode(deps, query, state);
    const refresh = await openSession(deps, request, { state, identity });
    return {
      location: landingPage(deps.config, { returnTo: state.returnTo }),
      setStateCookie: null,
      clearStateCookies,
      refresh,
      error: null,
    };
  } catch (error) {
    return refuseSignIn(deps, error, { clearStateCookies, ip });
  }
}

/** Returns the sign-in that `query.state` belongs to. From here on it is used up, whatever the outcome. */
async function consumeState(
  { signInStates, usedStates }: FinishSignInDeps,
  query: CallbackQuery,
  cookies: readonly SignInCookie[],
): Promise<SignInState> {
  const state = query.state === undefined ? null : signInStates.find(query.state, cookies);
  if (state === null) {
    throw new SignInFailure("state_invalid", "this browser did not begin this sign-in");
  }
  if (signInStates.expired(state)) {
    throw new SignInFailure("state_expired", "the sign-in took longer than 10 minutes");
  }
  const key = `auth:attempt:${createHash("sha256").update(state.state).digest("base64url")}`;
  // A first safeguard, which also covers sign-ins that fail. While the cache is unavailable it lets everything through;
  // the session's primary key (SignInStates.sessionId) still allows only one session per sign-in.
  if ((await usedStates.setIfAbsent(key, "1", STATE_TTL_SECONDS)) === false) {
    throw new SignInFailure("state_invalid", "this sign-in was ended before");
  }
  return state;
}

async function redeemCode(
  { config, identityProvider }: FinishSignInDeps,
  query: CallbackQuery,
  { codeVerifier, nonce }: SignInState,
): Promise<VerifiedIdentity> {
  if (query.error !== undefined) throw providerRefusal(query.error);
  if (query.code === undefined || query.code === "" || query.code.length > MAX_CODE_LENGTH) {
    throw new SignInFailure("code_invalid", "the callback carries no single code");
  }
  return identityProvider.exchange({
    code: query.code,
    codeVerifier,
    nonce,
    redirectUri: config.google.callbackUrl,
    callbackIssuer: query.issuer,
  });
}

/** Writes the session, ends the one this browser had before, and returns the new refresh token. */
async function openSession(
  deps: FinishSignInDeps,
  { refreshCookies, userAgent, ip }: CallbackRequest,
  { state, identity }: { state: SignInState; identity: VerifiedIdentity },
): Promise<SignInRedirect["refresh"]> {
  const { config, logger, now } = deps;
  const startedAt = new Date(now());
  const { refreshTtlSeconds, sessionMaxAgeSeconds } = config.tokens;
  const maxAgeSeconds = Math.min(refreshTtlSeconds, sessionMaxAgeSeconds);
  const token = deps.refreshTokens.first(deps.signInStates.sessionId(state));
  const later = (seconds: number) => new Date(startedAt.getTime() + seconds * 1000);
  const request: SignIn = {
    identity,
    session: {
      id: token.sessionId,
      tokenHash: deps.refreshTokens.hash(token),
      startedAt,
      expiresAt: later(maxAgeSeconds),
      absoluteExpiresAt: later(sessionMaxAgeSeconds),
      client: clientFacts({ userAgent, ip }),
    },
    signupCredits: config.credits.signup,
    isAdmin: config.adminEmails.some((email) => asciiLowerCase(email) === identity.email),
  };
  const { roleChanged, userId, created } = await deps.writeSignIn(request);
  const replaced = await endFormerSessions(deps, refreshCookies, startedAt);
  if (roleChanged || replaced) await deps.sessionCache.invalidate();
  const { sessionId } = token;
  logger.info({ event: "signed in", how: "google", userId, sessionId, created, ip }, "signed in");
  return { token: token.text, maxAgeSeconds };
}

/** Ends the sign-in this browser had before (ASVS 7.2.4). If that fails, the new one is valid all the same. */
async function endFormerSessions(
  { refreshTokens, sessions, logger }: FinishSignInDeps,
  cookies: readonly string[],
  at: Date,
): Promise<boolean> {
  let ended = false;
  for (const text of new Set(cookies.slice(0, MAX_FORMER))) {
    const former: RefreshToken | null = refreshTokens.parse(text);
    if (former === null) continue;
    try {
      ended = (await sessions.revoke(former.sessionId, "replaced", at)) || ended;
    } catch (error) {
      logger.warn({ err: error }, "could not end the sign-in that was replaced");
    }
  }
  return ended;
}

/** Maps an error of RFC 6749 4.1.2.1. `error_description` is the sender's text and is never passed on. */
function providerRefusal(error: string): SignInFailure {
  if (error === "access_denied") return new SignInFailure("access_denied", "the person declined");
  if (error === "temporarily_unavailable" || error === "server_error") {
    return new SignInFailure("provider_unavailable", "the provider cannot sign in now");
  }
  return new SignInFailure("provider_error", "the provider refused the request");
}
