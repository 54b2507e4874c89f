// The one way to open an app under test: with its own database, Redis keys and sandbox, one clock, and real sockets.
import type { TRPCClient } from "@trpc/client";
import { createClient } from "../../shared/src/client.ts";
import type { AppRouter } from "../../shared/src/router.ts";
import { type App, type AppDeps, createApp } from "../../server/app.ts";
import type { Config } from "../../server/config/config.ts";
import { parseConfig } from "../../server/config/parse-config.ts";
import type { PrismaModels } from "../../server/database/ports.ts";
import {
  createHttpServer,
  type HttpServer,
  type HttpServerOptions,
} from "../../server/http/server.ts";
import type { Backend } from "../../server/infrastructure.ts";
import { createLogger, type Logger } from "../../server/lib/logger.ts";
import {
  type Sandbox,
  type SandboxOptions,
  startSandbox,
} from "../../server/sandbox/src/sandbox.ts";
import type { Services } from "../../server/trpc/context.ts";
import { type AvailableBackend, EMBEDDED, type OpenedBackend } from "./databases.ts";
import { createPeople, type People } from "./people.ts";
import { SERVICE_KEY, serverEnv } from "./server-env.ts";
import { cookiesIn, driveSignIn } from "./google-sign-in.ts";
import { type TestClock, createTestClock } from "./test-clock.ts";
import { callOver, type WireCall } from "./wire-call.ts";

/** A user who has signed in through the sandbox. */
export type SignedIn = Awaited<ReturnType<typeof signIn>>;

/** One instance behind its socket, with direct access to its services. */
export interface TestInstance extends Omit<App, "close">, Services {
  readonly url: string;
  readonly app: App;
  readonly http: HttpServer;
  readonly backend: Backend;
}

/** A running app with what it talks to. It is its own first instance; the others share its database and Redis. */
export interface TestApp extends TestInstance, People {
  readonly instances: readonly [TestInstance, ...TestInstance[]];
  /** Returns an instance by number, wrapping around. */
  instance(index: number): TestInstance;
  readonly config: Config;
  readonly sandbox: Sandbox;
  readonly opened: OpenedBackend;
  readonly models: PrismaModels;
  /** The clock of every instance and of the sandbox Stripe. */
  readonly clock: TestClock;
  readonly logger: Logger;
  /** Returns what has been logged so far. Throws if no `logLevel` was given. */
  logged(): Record<string, unknown>[];
  /** Returns an anonymous client, or one that uses the given access token. */
  client(accessToken?: string): TRPCClient<AppRouter>;
  /** Returns a client with the service key. */
  serviceClient(): TRPCClient<AppRouter>;
  /** Calls a procedure over HTTP without a client. */
  readonly call: WireCall;
  /** Signs `email` in through the sandbox Google. */
  signIn(email: string): Promise<SignedIn>;
  /** Makes `close` run `work` before it closes the back end. */
  beforeClose(work: () => Promise<void>): void;
  close(): Promise<void>;
}

/** Options of `openTestApp`. */
export interface TestAppOptions {
  /** Defaults to embedded. */
  available?: AvailableBackend;
  env?: Record<string, string>;
  /** Overrides of the configuration read from the environment. */
  config?: Partial<Config>;
  instances?: number;
  /** True: jobs run automatically. Otherwise they run only when requested by name. */
  jobs?: boolean;
  /** The lowest level kept for `logged`; by default nothing is kept. */
  logLevel?: "info" | "debug" | "trace";
  clock?: TestClock;
  /** How far each instance's clock is ahead of `clock`. */
  skewMs?: readonly number[];
  /** Overrides of the HTTP server's options. */
  http?: HttpServerOptions;
  sandbox?: Partial<SandboxOptions>;
  /** Called for each instance; defaults to the vendors that `config` specifies. */
  adapters?: (config: Config) => Promise<NonNullable<AppDeps["adapters"]>>;
  /** Further dependencies of the app. */
  app?: Partial<Omit<AppDeps, "config" | "backend" | "clock" | "adapters">>;
}

/**
 * Opens the app under test, on one or more instances. Rate limits are unreachable unless `env` sets
 * RATE_LIMIT_MAX_REQUESTS.
 */
export async function openTestApp(options: TestAppOptions = {}): Promise<TestApp> {
  const available = options.available ?? EMBEDDED;
  const clock = options.clock ?? createTestClock();
  const { logger, logged } = createTestLogger(options);
  const opened = await available.open(logger);
  const sockets = await Promise.all(
    Array.from({ length: options.instances ?? 1 }, () => listen(options.http)),
  );
  const url = sockets[0]?.url ?? "";
  const sandbox = await startSandbox({
    webhookUrl: `${url}/api/payment/webhook`,
    redirectUris: [`${url}/api/auth/google/callback`],
    // OAuth requires these characters to be encoded in the Basic header.
    clientSecret: "client-secret-of-the-tests/with?odd&characters=",
    clock: () => new Date(clock.now()),
    ...options.sandbox,
  });
  const env = { PORT: new URL(url).port, ...sandbox.env, ...opened.env, ...options.env };
  const config: Config = { ...parseConfig(serverEnv(env)), ...options.config };
  const instances: TestInstance[] = [];
  for (const [index, { start, ...socket }] of sockets.entries()) {
    // Two SQLite connections in one process would block each other on its single thread, so those instances share one.
    const alone = index === 0 || available.dialect === "sqlite";
    const backend = alone ? opened.backend : await opened.openAnother();
    const now = () => clock.now() + (options.skewMs?.[index] ?? 0);
    const adapters = await options.adapters?.(config);
    const app = createApp({
      ...{ config, backend, logger, clock: now, ...options.app },
      ...(adapters === undefined ? {} : { adapters }),
    });
    start(app);
    if (options.jobs) app.jobs.start();
    instances.push({ ...app, ...app.services, ...socket, app, backend });
  }
  const [first, ...others] = instances;
  if (!first) throw new Error("A server has at least one instance.");
  const beforeEnd: (() => Promise<void>)[] = [];
  return {
    ...first,
    ...createPeople({ ...first, config, clock, logger }),
    ...clientsOf(url),
    ...{ config, sandbox, opened, clock, logger, logged },
    instances: [first, ...others],
    instance: (index) => instances[index % instances.length] ?? first,
    models: opened.backend.database.models,
    beforeClose: (work) => void beforeEnd.push(work),
    async close() {
      for (const { app } of instances) {
        app.beginShutdown();
        app.endStreams();
      }
      await sandbox.close();
      await Promise.all(instances.map(({ http }) => http.stop()));
      for (const { app } of instances) await app.close();
      try {
        for (const work of beforeEnd) await work();
      } finally {
        await opened.close();
      }
    },
  };
}

/** Returns every way to call the server at `url`. */
function clientsOf(url: string): Pick<TestApp, "client" | "serviceClient" | "call" | "signIn"> {
  const client = (accessToken?: string) =>
    createClient({
      url: `${url}/api/trpc`,
      cookies: false,
      ...(accessToken === undefined ? {} : { getAccessToken: () => accessToken }),
    });
  return {
    client,
    serviceClient: () => client(SERVICE_KEY),
    call: callOver(url),
    signIn: (email) => signIn(url, email),
  };
}

/** A logger whose lines can be read; setting TEST_LOG also prints them. */
function createTestLogger({ logLevel = "silent" }: { logLevel?: string }) {
  const lines: string[] = [];
  const write = (line: string): void => {
    lines.push(line);
    if (process.env["TEST_LOG"] !== undefined) process.stderr.write(line);
  };
  return {
    logger: createLogger({ level: logLevel, destination: { write } }),
    logged() {
      // An empty log contains no secrets either: a test that forgot `logLevel` must not pass.
      if (logLevel === "silent")
        throw new Error("Nothing is logged: open the app with a logLevel.");
      return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    },
  };
}

/** Opens a socket before its app exists, because the app's configuration contains the port. */
async function listen(options: HttpServerOptions = {}) {
  let app: App | undefined;
  const http = createHttpServer((request, response) => app?.handle(request, response), {
    commonHeaders: (origin) => app?.commonHeaders(origin) ?? [],
    ...options,
  });
  const url = `http://localhost:${await http.listen(0, "127.0.0.1")}`;
  return {
    http,
    url,
    start(started: App) {
      app = started;
    },
  };
}

/** Signs in at the sandbox Google as a browser would, with extra `headers`. Returns the callback's answer. */
export async function throughGoogle(url: string, email: string, headers = {}): Promise<Response> {
  const init = { redirect: "manual", headers } as const;
  const out = await fetch(`${url}/api/auth/google`, init);
  const location = out.headers.get("location");
  if (location === null) throw new Error(`The sign-in began with ${out.status}.`);
  const callback = await driveSignIn(location, { email });
  return fetch(callback, { ...init, headers: { ...headers, cookie: cookiesOf(out).join("; ") } });
}

/** Signs in at the server at `url`. */
export async function signIn(url: string, email: string) {
  const back = await throughGoogle(url, email);
  const refreshToken = refreshTokenOf(back);
  if (refreshToken === undefined)
    throw new Error(`The sign-in ended at ${back.headers.get("location")}.`);
  let accessToken = "";
  const client = createClient({
    url: `${url}/api/trpc`,
    refreshToken,
    getAccessToken: () => accessToken,
    onAccessToken: (token) => {
      accessToken = token;
    },
  });
  await client.auth.refresh.mutate({ refreshToken });
  const { user } = await client.auth.me.query();
  return {
    client,
    accessToken,
    /** As set in the cookie by the sign-in. Refreshing supersedes it. */
    refreshToken,
    userId: user.id,
    email,
    /** As returned by the server. */
    user,
  };
}

/** Returns the refresh token that an answer sets as a cookie. */
export function refreshTokenOf(answer: Response): string | undefined {
  return cookiesIn(answer).find(
    ({ name, value }) => /^(__Host-)?refresh$/.test(name) && value !== "",
  )?.value;
}

/** Returns `name=value` of every cookie that an answer sets and does not clear. */
export function cookiesOf(answer: Response): string[] {
  const kept = cookiesIn(answer).filter(({ value }) => value !== "");
  return kept.map(({ name, value }) => `${name}=${value}`);
}
