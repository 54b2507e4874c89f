// The setting of the demo: a whole server on a free port, its own sandbox and database, and the people.
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { createClient } from "../../shared/src/client.ts";
import { type EmbeddedServer, openEmbeddedServer } from "../../server/cli/dev/embedded.ts";
import { type Browser, createBrowser, type Page } from "./browser.ts";

/** The typed client. */
export type Client = ReturnType<typeof createClient>;

/** A signed-in user with a browser. */
export interface Person {
  readonly client: Client;
  readonly userId: string;
  readonly email: string;
  readonly browser: Browser;
  /** Where the sign-in ended. */
  readonly landedOn: URL;
  /** The newest tokens of this sign-in. */
  readonly tokens: { access: string; refresh: string };
}

/** Everything the acts need. */
export interface DemoWorld {
  readonly url: string;
  readonly about: string;
  readonly database: EmbeddedServer["database"];
  readonly stripe: EmbeddedServer["sandbox"]["stripe"]["control"];
  readonly model: EmbeddedServer["sandbox"]["model"]["control"];
  /** Audits the whole database. */
  readonly audit: EmbeddedServer["audit"];
  /** An e-mail address unique to this run, because the database may be an existing one. */
  addressOf(name: string): string;
  /** A client with this access token or service key; anonymous without one. */
  clientWith(token?: string): Client;
  readonly workerKey: string;
  /** Signs in at the sandbox's Google, in a new browser. */
  signIn(email: string): Promise<Person>;
  /** Opens a hosted page in this person's browser. */
  openPage(person: Person, url: string): Promise<Page>;
  /** Waits until Stripe's events have all been delivered. */
  delivered(): Promise<void>;
  /** The object of Stripe's newest event of this type. */
  newest(eventType: string): { id: string };
  close(): Promise<void>;
}

/** The only variables taken from the process's environment: those that choose the database and Redis. */
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

/** Starts everything. `onLog` receives the server's log lines. */
export async function openDemoWorld(onLog: (line: string) => void): Promise<DemoWorld> {
  const run = randomBytes(5).toString("hex");
  const addressOf = (name: string) => `${name}@run-${run}.example.com`;
  const workerKey = secret();
  const directory = mkdtempSync(join(tmpdir(), "skywork-demo-"));
  const remove = () => rmSync(directory, { recursive: true, force: true });
  process.once("exit", remove);
  const server = await openEmbeddedServer({
    environment: {
      DATABASE_URL: `file:${join(directory, "demo.db")}`,
      ...chosenBackEnd(),
      FRONTEND_URL,
      JWT_SECRET: secret(),
      REFRESH_TOKEN_SECRET: secret(),
      SERVICE_API_KEYS: `worker:${workerKey}`,
      ADMIN_EMAILS: addressOf("grace"),
      RATE_LIMIT_MAX_REQUESTS: "100000",
    },
    keyPrefix: `skywork-demo-${run}`,
    onLog,
  });
  const { url, database, sandbox } = server;
  const stripe = sandbox.stripe.control;
  return {
    url,
    about: describeBackEnd(server),
    database,
    stripe,
    model: sandbox.model.control,
    audit: server.audit,
    addressOf,
    clientWith: (token) =>
      createClient({ url: `${url}/api/trpc`, cookies: false, getAccessToken: () => token }),
    workerKey,
    signIn: (email) => signIn(url, email),
    openPage: (person, page) => person.browser.open(page),
    delivered: () => allDelivered(stripe),
    newest: (eventType) => newestObject(stripe, eventType),
    async close() {
      await server.close();
      remove();
    },
  };
}

function secret(): string {
  return randomBytes(48).toString("base64url");
}

function chosenBackEnd(): Record<string, string> {
  const given = BACK_END_VARIABLES.map((name) => [name, process.env[name] ?? ""] as const);
  return Object.fromEntries(given.filter(([, value]) => value !== ""));
}

function describeBackEnd({ config }: EmbeddedServer): string {
  return [
    config.database.kind === "sqlite" ? "embedded SQLite" : "MySQL or MariaDB",
    config.redis === null ? "no Redis needed" : "Redis",
    "Google, Stripe and the model are stand-ins on this machine",
  ].join(" · ");
}

async function allDelivered(stripe: DemoWorld["stripe"]): Promise<void> {
  const deadlineMs = Date.now() + DELIVERY_LIMIT_MS;
  for (;;) {
    await stripe.idle();
    const late = stripe.events().filter((event) => event.pending_webhooks > 0);
    if (late.length === 0) return;
    if (Date.now() > deadlineMs)
      throw new Error(`Undelivered: ${late.map((event) => event.type).join(", ")}`);
    await sleep(50);
  }
}

function newestObject(stripe: DemoWorld["stripe"], eventType: string): { id: string } {
  const object: unknown = stripe.events(eventType).at(-1)?.data.object;
  return z.object({ id: z.string() }).parse(object);
}

/** Signs in as a browser does, then passes the refresh cookie to a client that manages its own tokens. */
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
