// Owns one sign-in from the first redirect to the session (OpenID Connect code flow, RFC 9700).
import { createHash } from "node:crypto";
import type { SignInError } from "../../../shared/src/errors.ts";
import { isAppError } from "../../lib/errors.ts";
import { asciiLowerCase } from "../../lib/text.ts";
import { ATTEMPT_TTL_SECONDS, type Attempt, createAttempts } from "./sign-in-state.ts";
import type {
  AuthService,
  AuthServiceDeps,
  CallbackQuery,
  SignInRedirect,
  VerifiedIdentity,
} from "../auth.service.ts";
import { clientFacts } from "../session/client-info.ts";
import { createRefreshTokens } from "../session/refresh-token.ts";
import { safeReturnTo } from "./return-to.ts";
import { SignInFailure } from "./sign-in-error.ts";

const MAX_CODE_LENGTH = 2048;
/** A browser has one refresh cookie; more of them are somebody else's. */
const MAX_FORMER = 2;

/** Makes the sign-in side of the auth service. */
export function createSignIn(
  deps: Pick<
    AuthServiceDeps,
    "config" | "sessions" | "signIns" | "sharedCache" | "identityProvider" | "logger"
  > & { now: () => number; changed: () => Promise<void> },
): Pick<AuthService, "checkIdentityProvider" | "startSignIn" | "finishSignIn"> {
  const { config, identityProvider, logger, now } = deps;
  const attempts = createAttempts({
    secrets: config.tokens.accessSecrets,
    secure: config.cookies.secure,
    now,
  });
  const refreshTokens = createRefreshTokens(config.tokens.refreshSecrets);
  const { callbackUrl: redirectUri, issuer } = config.google;

  /** The frontend's page that ends every sign-in. No token and nobody else's text is ever in it. */
  function landing(parameter: { error: SignInError } | { returnTo: string | null }): string {
    const url = new URL("/auth/callback", config.frontendOrigins[0]);
    for (const [name, value] of Object.entries(parameter)) {
      if (value !== null) url.searchParams.set(name, value);
    }
    return url.href;
  }

  function failed(
    error: unknown,
    { clearAttempts, ip }: { clearAttempts: readonly string[]; ip: string },
  ): SignInRedirect {
    const code = codeOf(error);
    const line = { event: "sign-in refused", signInError: code, why: whyOf(error), ip };
    if (code === "server_error") logger.error({ ...line, err: error }, "sign-in failed");
    else logger.warn({ ...line, err: error }, "sign-in refused");
    return {
      location: landing({ error: code }),
      setAttempt: null,
      clearAttempts,
      refresh: null,
      error: code,
    };
  }

  /** The attempt that `query.state` ends. From here on it is used up, whatever comes of it. */
  async function consume(
    query: CallbackQuery,
    cookies: Parameters<AuthService["finishSignIn"]>[0]["attemptCookies"],
  ): Promise<Attempt> {
    const attempt = query.state === undefined ? null : attempts.find(query.state, cookies);
    if (attempt === null) {
      throw new SignInFailure("state_invalid", "this browser did not begin this sign-in");
    }
    if (attempts.expired(attempt)) {
      throw new SignInFailure("state_expired", "the sign-in took longer than 10 minutes");
    }
    const key = `auth:attempt:${createHash("sha256").update(attempt.state).digest("base64url")}`;
    // A first net that also catches attempts which end in nothing. With the cache away it lets everything through,
    // and the session's primary key (Attempts.sessionId) still allows one session for one attempt.
    if ((await deps.sharedCache?.setIfAbsent(key, "1", ATTEMPT_TTL_SECONDS)) === false) {
      throw new SignInFailure("state_invalid", "this sign-in was ended before");
    }
    return attempt;
  }

  async function identify(query: CallbackQuery, attempt: Attempt): Promise<VerifiedIdentity> {
    if (query.error !== undefined) throw providerRefusal(query.error);
    if (query.code === undefined || query.code === "" || query.code.length > MAX_CODE_LENGTH) {
      throw new SignInFailure("code_invalid", "the callback carries no single code");
    }
    return identityProvider.exchange({
      code: query.code,
      codeVerifier: attempt.codeVerifier,
      nonce: attempt.nonce,
      redirectUri,
      callbackIssuer: query.issuer,
    });
  }

  /** Ends the sign-in this browser had before (ASVS 7.2.4). The new one stands whatever comes of it. */
  async function endFormer(cookies: readonly string[], at: Date): Promise<boolean> {
    let ended = false;
    for (const text of new Set(cookies.slice(0, MAX_FORMER))) {
      const former = refreshTokens.parse(text);
      if (former === null) continue;
      try {
        ended = (await deps.sessions.revoke(former.sessionId, "replaced", at)) || ended;
      } catch (error) {
        logger.warn({ err: error }, "could not end the sign-in that was replaced");
      }
    }
    return ended;
  }

  return {
    async checkIdentityProvider() {
      try {
        await identityProvider.check();
      } catch (error) {
        const isAway = error instanceof SignInFailure && error.code === "provider_unavailable";
        const line = { event: "identity provider unfit", why: whyOf(error), issuer, err: error };
        if (isAway) logger.warn(line, "the identity provider does not answer yet");
        else logger.error(line, "nobody can sign in: GOOGLE_ISSUER cannot work");
      }
    },
    async startSignIn({ returnTo, attemptCookies, ip }) {
      const clearAttempts = attempts.surplus(attemptCookies);
      try {
        const { attempt, cookie } = attempts.begin(safeReturnTo(returnTo));
        const { state, nonce, codeVerifier } = attempt;
        const url = await identityProvider.authorizationUrl({
          state,
          nonce,
          codeVerifier,
          redirectUri,
        });
        return {
          location: url.href,
          setAttempt: cookie,
          clearAttempts,
          refresh: null,
          error: null,
        };
      } catch (error) {
        return failed(error, { clearAttempts, ip });
      }
    },
    async finishSignIn({ query, attemptCookies, refreshCookies, userAgent, ip }) {
      const name = query.state === undefined ? null : attempts.cookieName(query.state);
      const clearAttempts =
        attemptCookies.some((cookie) => cookie.name === name) && name ? [name] : [];
      try {
        const attempt = await consume(query, attemptCookies);
        const identity = await identify(query, attempt);
        const startedAt = new Date(now());
        const { refreshTtlSeconds, sessionMaxAgeSeconds } = config.tokens;
        const maxAgeSeconds = Math.min(refreshTtlSeconds, sessionMaxAgeSeconds);
        const token = refreshTokens.first(attempts.sessionId(attempt));
        const client = clientFacts({ userAgent, ip });
        const { authorityChanged, userId, created } = await deps.signIns.signIn({
          identity,
          session: {
            id: token.sessionId,
            tokenHash: refreshTokens.hash(token),
            startedAt,
            expiresAt: new Date(startedAt.getTime() + maxAgeSeconds * 1000),
            absoluteExpiresAt: new Date(startedAt.getTime() + sessionMaxAgeSeconds * 1000),
            client,
          },
          signupCredits: config.credits.signup,
          isAdmin: config.adminEmails.some((email) => asciiLowerCase(email) === identity.email),
        });
        const replaced = await endFormer(refreshCookies, startedAt);
        if (authorityChanged || replaced) await deps.changed();
        const { sessionId } = token;
        logger.info(
          { event: "signed in", how: "google", userId, sessionId, created, ip: client.ip },
          "signed in",
        );
        return {
          location: landing({ returnTo: attempt.returnTo }),
          setAttempt: null,
          clearAttempts,
          refresh: { token: token.text, maxAgeSeconds },
          error: null,
        };
      } catch (error) {
        return failed(error, { clearAttempts, ip });
      }
    },
  };
}

function whyOf(error: unknown): string | null {
  return error instanceof SignInFailure ? error.message : null;
}

function codeOf(error: unknown): SignInError {
  if (error instanceof SignInFailure) return error.code;
  if (isAppError(error, "RATE_LIMITED")) return "rate_limited";
  return "server_error";
}

/** RFC 6749 4.1.2.1. `error_description` is the sender's text and goes nowhere. */
function providerRefusal(error: string): SignInFailure {
  if (error === "access_denied") return new SignInFailure("access_denied", "the person declined");
  if (error === "temporarily_unavailable" || error === "server_error") {
    return new SignInFailure("provider_unavailable", "the provider cannot sign in now");
  }
  return new SignInFailure("provider_error", "the provider refused the request");
}
