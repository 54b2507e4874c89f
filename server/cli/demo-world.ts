// Owns where the demo plays: a whole server on a free port, its own sandbox and database, and the people in it.
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { createClient } from "../../shared/src/client.ts";
import { createApp } from "../app.ts";
import { type Backend, openBackend } from "../infrastructure.ts";
import { parseConfig } from "../config/config.ts";
import { createHttpServer } from "../http/server.ts";
import { createLogger } from "../lib/logger.ts";
import { type Sandbox, startSandbox } from "../sandbox/src/sandbox.ts";
import { type Browser, createBrowser, type Page } from "./demo-browser.ts";

/** The typed client. */
export type Client = ReturnType<typeof createClient>;

/** Somebody at their browser, signed in. */
export interface Person {
  readonly client: Client;
  readonly userId: string;
  readonly email: string;
  readonly browser: Browser;
  /** Where the sign-in led to. */
  readonly landedOn: URL;
  /** The newest tokens of this sign-in. */
  readonly tokens: { access: string; refresh: string };
}

/** Everything the acts need. */
export interface DemoWorld {
  readonly url: string;
  readonly about: string;
  readonly database: Backend["database"];
  readonly stripe: Sandbox["stripe"]["control"];
  /** An address of this run alone: the database may be one that was there before. */
  addressOf(name: string): string;
  /** A client with this access token or service key; nobody without. */
  clientWith(token?: string): Client;
  readonly workerKey: string;
  /** Signs in at the sandbox Google, on a browser of its own. */
  signIn(email: string): Promise<Person>;
  /** The hosted payment page, as this person sees it. */
  openPage(person: Person, url: string): Promise<Page>;
  /** Waits until Stripe's events have all been delivered. */
  delivered(): Promise<void>;
  /** The newest object Stripe made that an event of this type tells of. */
  newest(eventType: string): { id: string };
  close(): Promise<void>;
}

/** What of the process's environment counts here: which database and which Redis. `.env` is left alone. */
const BACK_END_VARIABLES = [
  "DATABASE_URL",
  "REDIS_URL",
  "REDIS_HOST",
  "REDIS_PORT",
  "REDIS_PASSWORD",
  "REDIS_SENTINELS",
  "REDIS_SENTINEL_NAME",
  "REDIS_CLUSTER_NODES",
] as const;

const FRONTEND_URL = "http://localhost:3000";
const DELIVERY_LIMIT_MS = 30_000;

/** Starts everything. What has been opened is closed again when the rest cannot be. `onLog` gets the server's log lines. */
export async function openDemoWorld(onLog: (line: string) => void): Promise<DemoWorld> {
  const closers: (() => void | Promise<void>)[] = [];
  const close = async () => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await closer();
  };
  try {
    return await open(closers, close, onLog);
  } catch (error) {
    await close();
    throw error;
  }
}

async function open(
  closers: (() => void | Promise<void>)[],
  close: () => Promise<void>,
  onLog: (line: string) => void,
): Promise<DemoWorld> {
  const run = randomBytes(5).toString("hex");
  const addressOf = (name: string) => `${name}@run-${run}.example.com`;
  const secret = () => randomBytes(48).toString("base64url");
  const workerKey = secret();
  const directory = mkdtempSync(join(tmpdir(), "skywork-demo-"));
  const remove = () => rmSync(directory, { recursive: true, force: true });
  closers.push(remove);
  process.once("exit", remove);

  // The socket is first: the sandbox must know where the server is, and the server where the sandbox is.
  const handler: { current?: ReturnType<typeof createApp>["handle"] } = {};
  const http = createHttpServer((request, response) => handler.current?.(request, response));
  const url = `http://localhost:${await http.listen(0, "127.0.0.1")}`;
  closers.push(() => http.stop());
  const sandbox = await startSandbox({
    webhookUrl: `${url}/api/payment/webhook`,
    redirectUris: [`${url}/api/auth/google/callback`],
  });
  closers.push(() => sandbox.close());

  const given = BACK_END_VARIABLES.map((name) => [name, process.env[name]] as const);
  const config = parseConfig({
    NODE_ENV: "development",
    PORT: new URL(url).port,
    DATABASE_URL: `file:${join(directory, "demo.db")}`,
    ...Object.fromEntries(given.filter(([, value]) => value !== undefined && value !== "")),
    ...sandbox.env,
    FRONTEND_URL,
    JWT_SECRET: secret(),
    REFRESH_TOKEN_SECRET: secret(),
    SERVICE_API_KEYS: `worker:${workerKey}`,
    ADMIN_EMAILS: addressOf("grace"),
    RATE_LIMIT_MAX_REQUESTS: "100000",
  });
  const logger = createLogger({ level: "error", destination: { write: onLog } });
  const backend = await openBackend({ config, logger, keyPrefix: `skywork-demo-${run}` });
  closers.push(() => backend.close());
  const { redis } = await backend.check();
  if (config.redis !== null && redis.status !== "up")
    throw new Error(`${redis.detail ?? "Redis is away."} Start it, or leave REDIS_* unset.`);
  // Its jobs are not started: on a database that was there before, they would ask the sandbox for other people's payments.
  const app = createApp({ config, backend, logger });
  closers.push(() => app.close());
  handler.current = app.handle;
  closers.push(() => {
    app.beginShutdown();
    app.endStreams();
  });

  const clientWith = (token?: string) =>
    createClient({ url: `${url}/api/trpc`, cookies: false, getAccessToken: () => token });
  const { control } = sandbox.stripe;
  return {
    url,
    about: [
      config.database.kind === "sqlite" ? "embedded SQLite" : "MySQL or MariaDB",
      config.redis === null ? "no Redis needed" : "Redis",
      "Google and Stripe are stand-ins on this machine",
    ].join(" · "),
    database: backend.database,
    stripe: control,
    addressOf,
    clientWith,
    workerKey,
    signIn: (email) => signIn(url, email),
    openPage: (person, page) => person.browser.open(page),
    async delivered() {
      const deadlineMs = Date.now() + DELIVERY_LIMIT_MS;
      for (;;) {
        await control.idle();
        const late = control.events().filter((event) => event.pending_webhooks > 0);
        if (late.length === 0) return;
        if (Date.now() > deadlineMs)
          throw new Error(`Undelivered: ${late.map((event) => event.type).join(", ")}`);
        await sleep(50);
      }
    },
    newest(eventType) {
      const object: unknown = control.events(eventType).at(-1)?.data.object;
      return z.object({ id: z.string() }).parse(object);
    },
    close,
  };
}

/** The sign-in as a browser does it; the refresh cookie then serves a client that keeps its tokens itself. */
async function signIn(url: string, email: string): Promise<Person> {
  const browser = createBrowser(FRONTEND_URL);
  const chooser = await browser.open(`${url}/api/auth/google?returnTo=/credits`);
  const { url: landedOn } = await browser.submit(chooser, /^\/interaction\//, { email });
  const refresh = browser.cookie(url, "refresh");
  if (refresh === undefined) throw new Error(`The sign-in ended at ${landedOn.href}.`);
  const tokens = { access: "", refresh };
  const client = createClient({
    url: `${url}/api/trpc`,
    refreshToken: refresh,
    onAccessToken: (token) => {
      tokens.access = token;
    },
    onRefreshToken: (token) => {
      tokens.refresh = token;
    },
  });
  await client.auth.refresh.mutate({ refreshToken: refresh });
  const { user } = await client.auth.me.query();
  return { client, userId: user.id, email, browser, landedOn, tokens };
}
