// Owns the demo's world: an embedded server of its own on free ports, its own sandbox, and people who sign in.
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TRPCClient } from "@trpc/client";
import { createClient } from "../../shared/src/client.ts";
import type { AppRouter } from "../../shared/src/router.ts";
import { createApp } from "../app.ts";
import { openBackend } from "../backend/backend.ts";
import type { Database } from "../backend/database.ts";
import { parseConfig } from "../config.ts";
import { createHttpServer } from "../http/server.ts";
import { createLogger } from "../logger.ts";
import { type Sandbox, startSandbox } from "../sandbox/sandbox.ts";
import { type Browser, createBrowser } from "./demo-browser.ts";

/** Nothing listens there: the demo reads where people would be sent and does not follow. */
export const FRONTEND = "http://localhost:3000";

/** Somebody signed in, with a browser and the typed client. */
export interface Person {
  readonly email: string;
  readonly browser: Browser;
  readonly client: TRPCClient<AppRouter>;
}

export interface DemoWorld {
  readonly url: string;
  /** Where the ledger lives, in words. */
  readonly where: string;
  readonly sandbox: Sandbox;
  readonly database: Database;
  /** Signs somebody in through the sandbox Google; the address is made unique to this run. */
  signIn(name: string): Promise<Person>;
  close(): Promise<void>;
}

/** What of the user's own environment counts: where to store, nothing else. */
const KEPT = /^(DATABASE_URL|REDIS_)/;

/** Starts everything. Uses DATABASE_URL and REDIS_* where they are set, else a folder that is removed at the end. */
export async function startDemoWorld(
  given: Readonly<Record<string, string | undefined>>,
): Promise<DemoWorld> {
  const run = randomBytes(4).toString("hex");
  const folder = await mkdtemp(join(tmpdir(), "skywork-demo-"));
  let handle: Parameters<typeof createHttpServer>[0] = (_request, response) => response.end();
  const http = createHttpServer((request, response) => handle(request, response));
  const url = `http://localhost:${await http.listen(0, "127.0.0.1")}`;
  const sandbox = await startSandbox({
    webhookUrl: `${url}/api/payment/webhook`,
    redirectUris: [`${url}/api/auth/google/callback`],
  });
  const kept = Object.fromEntries(
    Object.entries(given).filter(([name, value]) => KEPT.test(name) && value !== ""),
  );
  const config = parseConfig({
    DATABASE_URL: `file:${join(folder, "demo.db")}`,
    NODE_ENV: "development",
    PORT: new URL(url).port,
    JWT_SECRET: randomBytes(48).toString("base64url"),
    REFRESH_TOKEN_SECRET: randomBytes(48).toString("base64url"),
    FRONTEND_URL: FRONTEND,
    ADMIN_EMAILS: `admin.${run}@example.com`,
    RATE_LIMIT_MAX_REQUESTS: "1000",
    ...sandbox.env,
    ...kept,
  });
  const logger = createLogger({ level: "fatal" });
  const backend = await openBackend({ config, logger });
  const app = createApp({ config, backend, logger });
  handle = app.handle;
  return {
    url,
    where: `${config.database.kind === "sqlite" ? "embedded SQLite" : "MySQL"}, ${config.redis ? "Redis" : "no Redis"}`,
    sandbox,
    database: backend.database,
    signIn: (name) => signIn(url, `${name}.${run}@example.com`),
    async close() {
      app.beginShutdown();
      app.endStreams();
      await sandbox.close();
      await http.stop();
      await app.close();
      await backend.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function signIn(url: string, email: string): Promise<Person> {
  const browser = createBrowser(FRONTEND);
  const chooser = await browser.open(`${url}/api/auth/google?returnTo=/`);
  const back = await browser.submit(chooser, /^\/interaction\//, { email });
  if (back.url.pathname !== "/auth/callback" || back.url.searchParams.has("error"))
    throw new Error(`The sign-in of ${email} ended at ${back.url.href}.`);
  const told = [...back.url.searchParams.keys()].filter((name) => name !== "returnTo");
  if (told.length > 0 || back.url.hash !== "")
    throw new Error(`The way back carries more than it should: ${told.join(", ")}`);
  const client = createClient({ url: `${url}/api/trpc`, fetch: browser.fetch, cookies: true });
  await client.auth.refresh.mutate();
  return { email, browser, client };
}
