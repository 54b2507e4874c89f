// A world for sign-in tests: one back end, any number of instances over it, a real OpenID provider beside them.
import { randomUUID } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { PassThrough } from "node:stream";
import express from "express";
import { expect } from "vitest";
import { createGoogleIdentityProvider } from "../../../server/adapters/google/google.ts";
import { type AuthService, createAuthService } from "../../../server/auth/auth.service.ts";
import { createRefreshTokens } from "../../../server/auth/session/refresh-token.ts";
import { createSessionStore } from "../../../server/auth/session/session.store.ts";
import type { SignInStore } from "../../../server/auth/ports.ts";
import { createSignInStore } from "../../../server/auth/sign-in/sign-in.store.ts";
import type { Backend } from "../../../server/infrastructure.ts";
import { isAppError } from "../../../server/lib/errors.ts";
import { createClientAddress } from "../../../server/http/client-address.ts";
import { createGoogleRoutes } from "../../../server/http/routes/google.ts";
import { createLedger } from "../../../server/ledger/ledger.ts";
import type { Ledger } from "../../../server/ledger/ports.ts";
import { createLogger } from "../../../server/lib/logger.ts";
import {
  type GoogleSandbox,
  startGoogleSandbox,
} from "../../../server/sandbox/src/google/server.ts";
import type { AvailableBackend, OpenedBackend } from "../../support/databases.ts";
import type { SignInError } from "../../../shared/src/errors.ts";
import { driveSignIn } from "../../support/google-sign-in.ts";
import { COSTS } from "../../support/prices.ts";

export const FRONTEND = "http://localhost:3000";
export const REFRESH_SECRET = "refresh-secret-of-the-auth-suites-0123456789";
export const ACCESS_SECRET = "access-secret-of-the-auth-suites-01234567890";

/** One server process's worth of services. */
export interface Instance {
  backend: Backend;
  auth: AuthService;
  ledger: Ledger;
  signIns: SignInStore;
  /** `http://localhost:port` of its Google routes. */
  url: string;
}

export interface World {
  opened: OpenedBackend;
  instances: readonly [Instance, ...Instance[]];
  google: GoogleSandbox;
  /** Moved by tests; every instance reads it. */
  clock: { aheadMs: number };
  /** Moves the end of every sealed grace into the past: the database's clock is nobody's to move. */
  endGrace(sessionId: string): Promise<void>;
  adminEmails: string[];
  /** Everything every instance has logged. */
  logged(): string;
  /** A person with a session, made without the provider. */
  person(options?: { email?: string; subject?: string; issuer?: string }): Promise<{
    userId: string;
    sessionId: string;
    email: string;
    refreshToken: string;
  }>;
  close(): Promise<void>;
}

/** Opens a world on `available`; `secureCookies`: as behind https. */
export async function openWorld(
  available: AvailableBackend,
  options: {
    instances?: number;
    signupCredits?: number;
    secureCookies?: boolean;
    /** How far each instance's clock is ahead of this machine's. */
    skewMs?: readonly number[];
  } = {},
): Promise<World> {
  const clock = { aheadMs: 0 };
  const now = () => Date.now() + clock.aheadMs;
  const adminEmails: string[] = [];
  const sink = new PassThrough();
  const lines: Buffer[] = [];
  sink.on("data", (chunk: Buffer) => lines.push(chunk));
  const logger = createLogger({ level: "debug", destination: sink });
  const opened = await available.open();
  const apps = await Promise.all(
    Array.from({ length: options.instances ?? 1 }, async () => {
      const app = express();
      const server = await listen(app);
      return { app, server, url: `http://localhost:${(server.address() as AddressInfo).port}` };
    }),
  );
  const callbackUrl = `${apps[0]?.url}/api/auth/google/callback`;
  const google = await startGoogleSandbox({
    clientId: "auth-suite.apps.googleusercontent.com",
    clientSecret: "auth-suite-client-secret/with?odd&characters=",
    redirectUris: [callbackUrl],
  });
  const config = {
    tokens: {
      accessSecrets: [ACCESS_SECRET],
      accessTtlSeconds: 900,
      refreshSecrets: [REFRESH_SECRET],
      refreshTtlSeconds: 7 * 86_400,
      sessionMaxAgeSeconds: 30 * 86_400,
    },
    google: {
      clientId: google.clientId,
      clientSecret: google.clientSecret,
      callbackUrl,
      issuer: google.issuer,
    },
    frontendOrigins: [FRONTEND, "https://app.example"] as const,
    adminEmails,
    credits: { signup: options.signupCredits ?? 100, costs: COSTS },
    cookies: { sameSite: "lax" as const, secure: options.secureCookies ?? false },
    sandbox: true,
  };
  const instances: Instance[] = [];
  for (const [index, { app, url }] of apps.entries()) {
    // SQLite waits for its lock inside the process's one thread: two connections of ours would wait for each other,
    // so embedded instances are two sets of services over one back end. Two processes are tests/faults' matter.
    const alone = index === 0 || available.dialect === "sqlite";
    const backend = alone ? opened.backend : await opened.openAnother();
    const { database, locks, cache, pubsub } = backend;
    const skewed = () => now() + (options.skewMs?.[index] ?? 0);
    const ledger = createLedger({ database, locks, cache, pubsub, logger, now });
    const signIns = createSignInStore({ database, ledger, logger });
    const auth = createAuthService({
      config,
      sessions: createSessionStore(database),
      signIns,
      sharedCache: available.redis || available.dialect === "sqlite" ? cache : null,
      identityProvider: createGoogleIdentityProvider({ config: config.google, now }),
      logger,
      now: skewed,
    });
    const clientAddress = createClientAddress(false);
    app.use(createGoogleRoutes({ auth, config, logger, clientAddress }));
    instances.push({ backend, auth, ledger, signIns, url });
  }
  const [first, ...others] = instances;
  if (first === undefined) throw new Error("a world has at least one instance");
  const refreshTokens = createRefreshTokens([REFRESH_SECRET]);
  return {
    opened,
    instances: [first, ...others],
    google,
    clock,
    adminEmails,
    logged: () => Buffer.concat(lines).toString(),
    async endGrace(sessionId) {
      const { models } = first.backend.database;
      const { count } = await models.session.updateMany({
        where: { id: sessionId, graceEndsAt: { not: null } },
        data: { graceEndsAt: new Date(Date.now() - 1) },
      });
      if (count !== 1) throw new Error("no sealed grace to end");
    },
    async person({
      email = `${randomUUID()}@example.com`,
      subject = randomUUID(),
      issuer = google.issuer,
    } = {}) {
      const token = refreshTokens.first(randomUUID());
      const startedAt = new Date(now());
      const { userId } = await first.signIns.signIn({
        identity: { issuer, subject, email, name: "Test Person", avatar: null },
        session: {
          id: token.sessionId,
          tokenHash: refreshTokens.hash(token),
          startedAt,
          expiresAt: new Date(startedAt.getTime() + 7 * 86_400_000),
          absoluteExpiresAt: new Date(startedAt.getTime() + 30 * 86_400_000),
          client: { userAgent: "suite", ip: "127.0.0.1" },
        },
        signupCredits: config.credits.signup,
        isAdmin: adminEmails.includes(email),
      });
      return { userId, sessionId: token.sessionId, email, refreshToken: token.text };
    },
    async close() {
      await Promise.all(instances.map(({ auth }) => auth.close()));
      await Promise.all(instances.map(({ ledger }) => ledger.close()));
      await Promise.all(
        apps.map(({ server }) => {
          server.closeAllConnections();
          return new Promise((resolve) => server.close(resolve));
        }),
      );
      await google.close();
      await opened.close();
    },
  };
}

/** A refresh as a browser on our own page sends it. */
export function fromBrowser(...cookieTokens: string[]) {
  return { cookieTokens, origin: FRONTEND, userAgent: "Mozilla/5.0 (suite)", ip: "127.0.0.1" };
}

/** A refresh as a client without cookies sends it. */
export function fromNative(bodyToken: string) {
  return { cookieTokens: [], bodyToken, origin: null, userAgent: "native/1", ip: "127.0.0.1" };
}

/** A browser's cookies for our own host. */
export class Browser {
  readonly cookies = new Map<string, string>();

  /** One GET without following redirects. */
  async get(url: string, headers: Record<string, string> = {}): Promise<Response> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, {
      redirect: "manual",
      headers: { ...(cookie === "" ? {} : { cookie }), ...headers },
    });
    for (const line of response.headers.getSetCookie()) {
      const [pair = ""] = line.split(";", 1);
      const name = pair.slice(0, pair.indexOf("="));
      if (/max-age=0(;|$)/i.test(line)) this.cookies.delete(name);
      else this.cookies.set(name, pair.slice(name.length + 1));
    }
    return response;
  }

  /** The same cookies in a second browser. */
  copy(): Browser {
    const other = new Browser();
    for (const [name, value] of this.cookies) other.cookies.set(name, value);
    return other;
  }

  get refreshToken(): string | undefined {
    return this.cookies.get("refresh") ?? this.cookies.get("__Host-refresh");
  }
}

/** Goes out to the provider and comes back with the callback's address, not yet called. */
export async function toCallback(
  world: World,
  browser: Browser,
  choice: { email?: string; deny?: boolean },
  query = "",
): Promise<string> {
  const out = await browser.get(`${world.instances[0].url}/api/auth/google${query}`);
  const location = out.headers.get("location");
  if (out.status !== 302 || location === null) throw new Error(`no way out: ${out.status}`);
  return driveSignIn(location, choice);
}

/** `?error=` of a landing, or null when the sign-in succeeded. Throws when the answer is no redirect to the frontend. */
export function landingOf(response: Response): { error: string | null; returnTo: string | null } {
  const location = response.headers.get("location") ?? "";
  const url = new URL(location);
  if (response.status !== 302 || `${url.origin}${url.pathname}` !== `${FRONTEND}/auth/callback`) {
    throw new Error(`not our landing: ${response.status} ${location}`);
  }
  return { error: url.searchParams.get("error"), returnTo: url.searchParams.get("returnTo") };
}

/** The code an AppError was thrown with, or OK. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "OK";
  } catch (error) {
    if (isAppError(error)) return error.code;
    throw error;
  }
}

/** A whole sign-in; answers the browser and where it landed. */
export async function signInWith(world: World, email: string, browser = new Browser()) {
  const response = await browser.get(await toCallback(world, browser, { email }));
  return { browser, response, ...landingOf(response) };
}

/** How many sessions the account of this address has ever had. */
export async function sessionCount(world: World, email: string): Promise<number> {
  const { models } = world.opened.backend.database;
  const user = await models.user.findUnique({ where: { email } });
  return user === null ? 0 : models.session.count({ where: { userId: user.id } });
}

/** A callback that must end in `error` within seconds, leaving no cookie and (for `email`) no account. */
export async function expectRefused(
  world: World,
  error: SignInError,
  browser: Browser,
  url: string,
  email?: string,
): Promise<void> {
  const startedAt = Date.now();
  const response = await browser.get(url);
  expect(Date.now() - startedAt).toBeLessThan(5_000);
  expect(landingOf(response).error).toBe(error);
  expect(browser.refreshToken).toBeUndefined();
  if (email === undefined) return;
  const user = await world.opened.backend.database.models.user.findUnique({ where: { email } });
  expect(user).toBeNull();
}

function listen(app: express.Express): Promise<Server> {
  const server = createServer(app);
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}
