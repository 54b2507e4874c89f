// A browser for the sign-in suites, and how it goes through the provider.
import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { SignInError } from "../../../shared/src/errors.ts";
import { cookiesIn, driveSignIn } from "../../support/google-sign-in.ts";
import type { TestApp } from "../../support/server.ts";
import { FRONTEND } from "../../support/server-env.ts";
import { within } from "../../support/own-time.ts";

/** Returns a new address. */
export const newEmail = () => `${randomUUID()}@example.com`;

/** A refresh as sent by a browser on our own page. */
export function fromBrowser(...refreshCookies: string[]) {
  return { refreshCookies, origin: FRONTEND, userAgent: "Mozilla/5.0 (suite)", ip: "127.0.0.1" };
}

/** A refresh as sent by a client without cookies. */
export function fromNative(bodyToken: string) {
  return { refreshCookies: [], bodyToken, origin: null, userAgent: "native/1", ip: "127.0.0.1" };
}

/** A browser's cookies for our own host. */
export class Browser {
  readonly cookies = new Map<string, string>();

  /** Sends a single GET without following redirects. */
  async get(url: string, headers: Record<string, string> = {}): Promise<Response> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, {
      redirect: "manual",
      headers: { ...(cookie === "" ? {} : { cookie }), ...headers },
    });
    for (const { name, value } of cookiesIn(response))
      if (value === "") this.cookies.delete(name);
      else this.cookies.set(name, value);
    return response;
  }

  /** Returns a second browser with the same cookies. */
  copy(): Browser {
    const other = new Browser();
    for (const [name, value] of this.cookies) other.cookies.set(name, value);
    return other;
  }

  get refreshToken(): string | undefined {
    return this.cookies.get("refresh") ?? this.cookies.get("__Host-refresh");
  }
}

/** Goes to the provider and returns with the callback's URL, which has not been requested yet. */
export async function toCallback(
  world: TestApp,
  browser: Browser,
  choice: { email?: string; deny?: boolean },
  query = "",
): Promise<string> {
  const out = await browser.get(`${world.url}/api/auth/google${query}`);
  const location = out.headers.get("location");
  if (out.status !== 302 || location === null) throw new Error(`no way out: ${out.status}`);
  return driveSignIn(location, choice);
}

/** Returns `?error=` of a landing, or null on success. Throws if the answer is not a redirect to the frontend. */
export function landingOf(response: Response): { error: string | null; returnTo: string | null } {
  const location = response.headers.get("location") ?? "";
  const url = new URL(location);
  if (response.status !== 302 || `${url.origin}${url.pathname}` !== `${FRONTEND}/auth/callback`) {
    throw new Error(`not our landing: ${response.status} ${location}`);
  }
  return { error: url.searchParams.get("error"), returnTo: url.searchParams.get("returnTo") };
}

/** Performs a whole sign-in; resolves with the browser and where it landed. */
export async function signInWith(world: TestApp, email: string, browser = new Browser()) {
  const response = await browser.get(await toCallback(world, browser, { email }));
  return { browser, response, ...landingOf(response) };
}

/** Counts the sessions that the account with this address has ever had. */
export async function sessionCount(world: TestApp, email: string): Promise<number> {
  const { models } = world;
  const user = await models.user.findUnique({ where: { email } });
  return user === null ? 0 : models.session.count({ where: { userId: user.id } });
}

/** Expects a callback to end in `error`, leaving no cookie and (for `email`) no account. */
export async function expectRefused(
  world: TestApp,
  error: SignInError,
  browser: Browser,
  url: string,
  email?: string,
): Promise<void> {
  const response = await within(5_000, () => browser.get(url));
  expect(landingOf(response).error).toBe(error);
  expect(browser.refreshToken).toBeUndefined();
  if (email === undefined) return;
  const user = await world.models.user.findUnique({ where: { email } });
  expect(user).toBeNull();
}

/** Moves the end of the session's grace period into the past, because the database's clock cannot be moved. */
export async function endGrace({ models }: TestApp, sessionId: string): Promise<void> {
  const { count } = await models.session.updateMany({
    where: { id: sessionId, graceEndsAt: { not: null } },
    data: { graceEndsAt: new Date(Date.now() - 1) },
  });
  if (count !== 1) throw new Error("no grace has an end to move");
}
