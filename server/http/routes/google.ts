// Owns the two redirects of a Google sign-in, which cannot be tRPC: out to the issuer and back to the frontend.
import { type Request, type Response, Router } from "express";
import type { SignInError } from "../../../shared/src/errors.ts";
import { STATE_TTL_SECONDS, isStateCookie } from "../../auth/sign-in/sign-in-state.ts";
import type { AuthService } from "../../auth/auth.service.ts";
import type { SignInRedirect } from "../../auth/auth.types.ts";
import type { Config } from "../../config/config.ts";
import { isAppError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/logger.ts";
import { refuseUnlessNavigation } from "../cross-site.ts";
import { sendError } from "../response.ts";
import { stateCookie, readCookies, readRefreshCookies, refreshCookie } from "../cookies.ts";

/** What the routes need. */
export interface GoogleRoutesDeps {
  readonly auth: Pick<AuthService, "startSignIn" | "finishSignIn">;
  readonly config: Pick<Config, "cookies" | "frontendOrigins">;
  readonly logger: Logger;
  /** Counts one sign-in request of the client; throws RATE_LIMITED. */
  readonly limit?: (request: Request, response: Response) => Promise<void>;
}

/** `GET /api/auth/google` and `GET /api/auth/google/callback`. Every answer is a redirect that nothing may cache. */
export function createGoogleRoutes(deps: GoogleRoutesDeps): Router {
  const { auth, config } = deps;

  function send(response: Response, redirect: SignInRedirect): void {
    for (const name of redirect.clearStateCookies) {
      response.append("Set-Cookie", stateCookie(name, null, 0, config.cookies));
    }
    if (redirect.setStateCookie !== null) {
      const { name, value } = redirect.setStateCookie;
      response.append("Set-Cookie", stateCookie(name, value, STATE_TTL_SECONDS, config.cookies));
    }
    if (redirect.refresh !== null) {
      const { token, maxAgeSeconds } = redirect.refresh;
      response.append("Set-Cookie", refreshCookie(token, maxAgeSeconds, config.cookies));
    }
    go(response, redirect.location);
  }

  function go(response: Response, location: string): void {
    response.setHeader("Cache-Control", "no-store");
    // Written as it is: response.redirect() would add a page that repeats the address.
    response.statusCode = 302;
    response.setHeader("Location", location);
    response.end();
  }

  function refuse(response: Response, error: SignInError): void {
    const url = new URL("/auth/callback", config.frontendOrigins[0]);
    url.searchParams.set("error", error);
    go(response, url.href);
  }

  const handle =
    (work: (request: Request) => Promise<SignInRedirect>) =>
    async (request: Request, response: Response): Promise<void> => {
      // Express answers HEAD with the GET handler; a link checker must not use up somebody's sign-in.
      if (request.method !== "GET") {
        response.setHeader("Allow", "GET");
        response.status(405).end();
        return;
      }
      try {
        refuseUnlessNavigation(request);
      } catch (error) {
        sendError(request, response, error);
        return;
      }
      try {
        await deps.limit?.(request, response);
        send(response, await work(request));
      } catch (error) {
        const limited = isAppError(error, "RATE_LIMITED");
        const line = { event: "sign-in refused", ip: request.ip ?? "" };
        if (limited) deps.logger.warn({ ...line, signInError: "rate_limited" }, "sign-in refused");
        else deps.logger.error({ ...line, err: error }, "sign-in failed");
        refuse(response, limited ? "rate_limited" : "server_error");
      }
    };

  const routes = Router();
  routes.get(
    "/api/auth/google",
    handle((request) =>
      auth.startSignIn({
        returnTo: once(request, "returnTo"),
        stateCookies: stateCookies(request),
        ip: request.ip ?? "",
      }),
    ),
  );
  routes.get(
    "/api/auth/google/callback",
    handle((request) =>
      auth.finishSignIn({
        query: {
          state: once(request, "state"),
          code: once(request, "code"),
          error: once(request, "error"),
          issuer: once(request, "iss"),
        },
        stateCookies: stateCookies(request),
        refreshCookies: readRefreshCookies(request.headers.cookie, config.cookies),
        userAgent: request.get("user-agent") ?? null,
        ip: request.ip ?? "",
      }),
    ),
  );
  return routes;
}

/** A query parameter that was sent exactly once; doubled ones count as none. Read from the raw query: no parser's guesses. */
function once(request: Request, name: string): string | undefined {
  const question = request.originalUrl.indexOf("?");
  if (question < 0) return undefined;
  const values = new URLSearchParams(request.originalUrl.slice(question)).getAll(name);
  return values.length === 1 ? values[0] : undefined;
}

function stateCookies(request: Request) {
  return readCookies(request.headers.cookie).filter((cookie) => isStateCookie(cookie.name));
}
