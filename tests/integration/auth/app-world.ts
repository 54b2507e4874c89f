// A whole app for authority tests: real HTTP, both sandboxes, a real database, callers of every kind.
import { randomUUID } from "node:crypto";
import { type App, createApp } from "../../../server/app.ts";
import { createRefreshTokens } from "../../../server/auth/session/refresh-token.ts";
import { createSignInStore } from "../../../server/auth/sign-in/sign-in.store.ts";
import { newId } from "../../../server/lib/ids.ts";
import { createLogger } from "../../../server/lib/logger.ts";
import type { Sandbox } from "../../../server/sandbox/src/sandbox.ts";
import type { AvailableBackend, OpenedBackend } from "../../support/databases.ts";
import { openTestApp } from "../../support/server.ts";

export const SERVICE_KEY = "service-key-of-the-auth-suites-0123456789abcdef";
const REFRESH_SECRET = "9f3c1d7a-refresh-5b2e-of-the-8d4f-suites-61aa";

/** What came back from a procedure: its data, or the code of the closed list. */
export interface Answer {
  readonly status: number;
  readonly data: unknown;
  readonly code: string | null;
  readonly response: Response;
}

/** Somebody who is signed in. */
export interface Person {
  readonly userId: string;
  readonly sessionId: string;
  readonly email: string;
  readonly accessToken: string;
  readonly refreshToken: string;
}

export interface AppWorld {
  readonly app: App;
  readonly opened: OpenedBackend;
  readonly sandbox: Sandbox;
  readonly url: string;
  /** A second instance over the same databases; its services are called directly. */
  another(): Promise<App>;
  /** Every line logged so far. */
  logged(): Record<string, unknown>[];
  readonly clock: { aheadMs: number };
  /** A signed-in person; `role` as the database shall have it. */
  person(role?: "USER" | "ADMIN"): Promise<Person>;
  /** A fresh access token for the same session family. */
  signInAgain(userId: string): Promise<Person>;
  /** Calls a procedure over HTTP. */
  call(
    path: string,
    kind: "query" | "mutation" | "subscription",
    input?: unknown,
    headers?: Record<string, string>,
  ): Promise<Answer>;
  close(): Promise<void>;
}

/** Starts the app on a free port over `available`. */
export async function openApp(
  available: AvailableBackend,
  env: Record<string, string> = {},
): Promise<AppWorld> {
  const clock = { aheadMs: 0 };
  const lines: string[] = [];
  const logger = createLogger({
    level: "info",
    destination: {
      write: (line) => {
        lines.push(line);
        if (process.env["TEST_LOG"] !== undefined) process.stderr.write(line);
      },
    },
  });
  const others: App[] = [];
  const now = () => Date.now() + clock.aheadMs;
  const server = await openTestApp({
    available,
    logger,
    clock: now,
    env: {
      STRIPE_PUBLISHABLE_KEY: "pk_test_suite",
      JWT_SECRET: "0d1b7c3e-access-4f6a-of-the-2c9d-suites-77be",
      REFRESH_TOKEN_SECRET: REFRESH_SECRET,
      SERVICE_API_KEYS: `worker:${SERVICE_KEY}`,
      ...env,
    },
  });
  const { app, config, opened, sandbox, url } = server;
  const { database } = opened.backend;
  const signIns = createSignInStore({ database, ledger: app.ledger, logger });
  const tokens = createRefreshTokens([REFRESH_SECRET]);

  async function signIn(subject: string, email: string, isAdmin: boolean): Promise<Person> {
    const token = tokens.first(newId(Date.now()));
    const startedAt = new Date(now());
    const { userId } = await signIns.signIn({
      identity: { issuer: config.google.issuer, subject, email, name: "Test Person", avatar: null },
      session: {
        id: token.sessionId,
        tokenHash: tokens.hash(token),
        startedAt,
        expiresAt: new Date(startedAt.getTime() + 604_800_000),
        absoluteExpiresAt: new Date(startedAt.getTime() + 2_592_000_000),
        client: { userAgent: "suite", ip: "192.0.2.7" },
      },
      signupCredits: config.credits.signup,
      isAdmin,
    });
    const renewed = await app.services.auth.refresh({
      cookieTokens: [],
      bodyToken: token.text,
      origin: null,
      userAgent: "suite",
      ip: "192.0.2.7",
    });
    const { accessToken, refreshToken } = renewed;
    return { userId, sessionId: token.sessionId, email, accessToken, refreshToken };
  }

  return {
    app,
    opened,
    sandbox,
    url,
    async another() {
      // As in world.ts: embedded instances of one process share the back end.
      const alone = available.dialect === "sqlite";
      const backend = alone ? opened.backend : await opened.openAnother();
      const other = createApp({ config, backend, logger, clock: now });
      others.push(other);
      return other;
    },
    logged: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>),
    clock,
    person: (role = "USER") => {
      const subject = randomUUID();
      return signIn(subject, `${subject}@example.com`, role === "ADMIN");
    },
    async signInAgain(userId) {
      const identity = await database.models.identity.findFirstOrThrow({ where: { userId } });
      const user = await database.models.user.findUniqueOrThrow({ where: { id: userId } });
      return signIn(identity.subject ?? "", user.email, false);
    },
    async call(path, kind, input, headers = {}) {
      const target = new URL(`/api/trpc/${path}`, url);
      const abort = new AbortController();
      const init: RequestInit = { headers, signal: abort.signal };
      if (kind === "mutation") {
        init.method = "POST";
        init.headers = { "content-type": "application/json", ...headers };
        init.body = input === undefined ? undefined : JSON.stringify(input);
      } else {
        if (input !== undefined) target.searchParams.set("input", JSON.stringify(input));
        if (kind === "subscription") init.headers = { accept: "text/event-stream", ...headers };
      }
      const response = await fetch(target, init);
      if (kind === "subscription") return firstEvent(response, abort);
      const body = (await response.json()) as {
        result?: { data: unknown };
        error?: { data: { app: { code: string } } };
      };
      return {
        status: response.status,
        data: body.result?.data,
        code: body.error?.data.app.code ?? null,
        response,
      };
    },
    async close() {
      await Promise.all(others.map((other) => other.close()));
      await server.close();
    },
  };
}

/** The code a stream begins with, or null when it really streams. */
async function firstEvent(response: Response, abort: AbortController): Promise<Answer> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    if (/"code":"[A-Z_]+"|"credits":/.test(text)) break;
  }
  abort.abort();
  const code = /"app":\{"code":"([A-Z_]+)"/.exec(text)?.[1] ?? null;
  return { status: response.status, data: text, code, response };
}
