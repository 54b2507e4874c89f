// The two redirects of a Google sign-in, which cannot be tRPC: out to the issuer and back to the frontend.
import type { IncomingMessage } from "node:http";
import { type Request, type Response, Router } from "express";
import { landingPage } from "../../auth/sign-in/outcome.ts";
import { STATE_TTL_SECONDS, isStateCookie } from "../../auth/sign-in/sign-in-state.ts";
import type { AuthService } from "../../auth/auth.service.ts";
import type { SignInRedirect } from "../../auth/auth.types.ts";
import type { Config } from "../../config/config.ts";
import { isAppError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/logger.ts";
import { assertNavigation } from "../cross-site.ts";
import { sendError } from "../response.ts";
import { stateCookie, readCookies, readRefreshCookies, refreshCookie } from "../cookies.ts";

/** Dependencies of the routes. */
export interface GoogleRoutesDeps {
  readonly auth: Pick<AuthService, "startSignIn" | "finishSignIn">;
  readonly config: Pick<Config, "cookies" | "frontendOrigins">;
  readonly logger: Logger;
  readonly clientAddress: (request: IncomingMessage) => string;
  /** Counts one sign-in request of the client; throws RATE_LIMITED. */
  readonly limit: (request: Request, response: Response) => Promise<void>;
}

/** `GET /api/auth/google` and its `/callback`. A navigation always gets a redirect that is never cached. */
export function createGoogleRoutes(deps: GoogleRoutesDeps): Router {
  const routes = Router({ caseSensitive: true });
  routes.get("/api/auth/google", redirecting(deps, startSignIn));
  routes.get("/api/auth/google/callback", redirecting(deps, finishSignIn));
  return routes;
}

function startSignIn(
  { auth, clientAddress }: GoogleRoutesDeps,
  request: Request,
): Promise<SignInRedirect> {
  return auth.startSignIn({
    returnTo: once(request, "returnTo"),
    stateCookies: stateCookies(request),
    ip: clientAddress(request),
  });
}

function finishSignIn(
  { auth, config, clientAddress }: GoogleRoutesDeps,
  request: Request,
): Promise<SignInRedirect> {
  return auth.finishSignIn({
    query: {
      state: once(request, "state"),
      code: once(request, "code"),
      error: once(request, "error"),
      issuer: once(request, "iss"),
    },
    stateCookies: stateCookies(request),
    refreshCookies: readRefreshCookies(request.headers.cookie, config.cookies),
    userAgent: request.get("user-agent") ?? null,
    ip: clientAddress(request),
  });
}

/** Creates a handler that responds with the redirect of `step`, or with one that carries a sign-in error. */
function redirecting(
  deps: GoogleRoutesDeps,
  step: (deps: GoogleRoutesDeps, request: Request) => Promise<SignInRedirect>,
) {
  return async (request: Request, response: Response): Promise<void> => {
    // Express also runs the GET handler for HEAD; a link checker must not use up a user's sign-in.
    if (request.method !== "GET") {
      response.setHeader("Allow", "GET");
      response.status(405).end();
      return;
    }
    try {
      assertNavigation(request);
    } catch (error) {
      sendError(request, response, error);
      return;
    }
    try {
      await deps.limit(request, response);
      sendRedirect(response, await step(deps, request), deps.config.cookies);
    } catch (error) {
      const signInError = isAppError(error, "RATE_LIMITED") ? "rate_limited" : "server_error";
      const line = { event: "sign-in refused", ip: deps.clientAddress(request) };
      if (signInError === "rate_limited") deps.logger.warn({ ...line, signInError }, line.event);
      else deps.logger.error({ ...line, err: error }, "sign-in failed");
      redirect(response, landingPage(deps.config, { error: signInError }));
    }
  };
}

function sendRedirect(
  response: Response,
  { clearStateCookies, setStateCookie, refresh, location }: SignInRedirect,
  cookies: Config["cookies"],
): void {
  for (const name of clearStateCookies)
    response.append("Set-Cookie", stateCookie(name, null, 0, cookies));
  if (setStateCookie !== null) {
    const { name, value } = setStateCookie;
    response.append("Set-Cookie", stateCookie(name, value, STATE_TTL_SECONDS, cookies));
  }
  if (refresh !== null)
    response.append("Set-Cookie", refreshCookie(refresh.token, refresh.maxAgeSeconds, cookies));
  redirect(response, location);
}

function redirect(response: Response, location: string): void {
  response.setHeader("Cache-Control", "no-store");
  // Written directly: response.redirect() would add a page that repeats the address.
  response.statusCode = 302;
  response.setHeader("Location", location);
  response.end();
}

/** Returns a query parameter sent exactly once, else undefined. Reads the raw query, with no parser's guesses. */
function once(request: Request, name: string): string | undefined {
  const question = request.originalUrl.indexOf("?");
  if (question < 0) return undefined;
  const values = new URLSearchParams(request.originalUrl.slice(question)).getAll(name);
  return values.length === 1 ? values[0] : undefined;
}

function stateCookies(request: Request) {
  return readCookies(request.headers.cookie).filter((cookie) => isStateCookie(cookie.name));
}
