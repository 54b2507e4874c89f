// A whole server for a suite: its own database and Redis keys, its own sandbox, a real socket, a typed client.
import type { TRPCClient } from "@trpc/client";
import { createClient } from "../../shared/src/client.ts";
import type { AppRouter } from "../../shared/src/router.ts";
import { type App, type AppDeps, createApp } from "../../server/app.ts";
import type { Config } from "../../server/config/config.ts";
import { parseConfig } from "../../server/config/parse-config.ts";
import {
  createHttpServer,
  type HttpServer,
  type HttpServerOptions,
} from "../../server/http/server.ts";
import { createLogger, type Logger } from "../../server/lib/logger.ts";
import { type Sandbox, startSandbox } from "../../server/sandbox/src/sandbox.ts";
import { type AvailableBackend, describeBackend, type OpenedBackend } from "./databases.ts";
import { SERVICE_KEY, serverEnv } from "./server-env.ts";
import { driveSignIn } from "./google-sign-in.ts";

/** Somebody who has signed in through the sandbox. */
export interface SignedIn {
  readonly client: TRPCClient<AppRouter>;
  readonly accessToken: string;
  /** As the cookie held it after the sign-in. Refreshing makes it the older one. */
  readonly refreshToken: string;
  readonly userId: string;
  readonly email: string;
}

/** One instance behind its socket. */
export interface TestInstance {
  readonly url: string;
  readonly app: App;
  readonly http: HttpServer;
}

/** A running server and what it talks to. */
export interface TestServer extends TestInstance {
  /** The first is this server; the others share its database and Redis. */
  readonly instances: readonly TestInstance[];
  readonly config: Config;
  readonly sandbox: Sandbox;
  readonly opened: OpenedBackend;
  /** A client that is nobody, or whose access token is given. */
  client(accessToken?: string): TRPCClient<AppRouter>;
  /** A client with the service key. */
  serviceClient(): TRPCClient<AppRouter>;
  /** Signs `email` in through the sandbox Google. */
  signIn(email: string): Promise<SignedIn>;
  close(): Promise<void>;
}

/** What may be different from the usual. */
export interface TestServerOptions {
  /** Embedded unless told. */
  available?: AvailableBackend;
  env?: Record<string, string>;
  instances?: number;
  /** Jobs run only when asked for by name unless told. */
  jobs?: boolean;
  logger?: Logger;
  clock?: () => number;
  leanPath?: boolean;
  /** What the socket's server is told instead of the usual. */
  http?: HttpServerOptions;
  /** Bounds of metered runs, where they shall be shorter. */
  runTimings?: AppDeps["runTimings"];
  /** Nothing is traced unless told. */
  tracer?: AppDeps["tracer"];
  /** How often readiness asks others, where it shall be oftener. */
  checkEveryMs?: number;
}

/** Opens the app under test, on one instance or more. Limits are wide open unless `env` sets RATE_LIMIT_MAX_REQUESTS. */
export async function openTestApp(options: TestServerOptions = {}): Promise<TestServer> {
  const available = options.available ?? describeBackend("embedded", null, null);
  const logger = options.logger ?? createLogger({ level: "silent" });
  const opened = await available.open(logger);
  const handlers: App["handle"][] = [];
  const headers: App["commonHeaders"][] = [];
  const sockets = await Promise.all(
    Array.from({ length: options.instances ?? 1 }, async (_, index) => {
      const http = createHttpServer((request, response) => handlers[index]?.(request, response), {
        commonHeaders: (origin) => headers[index]?.(origin) ?? [],
        ...options.http,
      });
      return { http, url: `http://localhost:${await http.listen(0, "127.0.0.1")}` };
    }),
  );
  const url = sockets[0]?.url ?? "";
  const sandbox = await startSandbox({
    webhookUrl: `${url}/api/payment/webhook`,
    redirectUris: [`${url}/api/auth/google/callback`],
  });
  const config = parseConfig(
    serverEnv({
      PORT: new URL(url).port,
      ...sandbox.env,
      ...opened.env,
      ...options.env,
    }),
  );
  const instances: TestInstance[] = [];
  for (const [index, socket] of sockets.entries()) {
    // Two SQLite connections in one process would wait for each other in its one thread; those instances share one.
    const alone = index === 0 || available.dialect === "sqlite";
    const backend = alone ? opened.backend : await opened.openAnother();
    const app = createApp({
      config,
      backend,
      logger,
      ...(options.clock ? { clock: options.clock } : {}),
      ...(options.leanPath === undefined ? {} : { leanPath: options.leanPath }),
      ...(options.tracer === undefined ? {} : { tracer: options.tracer }),
      ...(options.checkEveryMs === undefined ? {} : { checkEveryMs: options.checkEveryMs }),
      ...(options.runTimings === undefined ? {} : { runTimings: options.runTimings }),
    });
    handlers[index] = app.handle;
    headers[index] = app.commonHeaders;
    if (options.jobs) app.jobs.start();
    instances.push({ ...socket, app });
  }
  const [first] = instances;
  if (!first) throw new Error("A server has at least one instance.");
  const clientOf = (accessToken?: string) =>
    createClient({
      url: `${url}/api/trpc`,
      cookies: false,
      ...(accessToken === undefined ? {} : { getAccessToken: () => accessToken }),
    });
  return {
    ...first,
    instances,
    config,
    sandbox,
    opened,
    client: clientOf,
    serviceClient: () => clientOf(SERVICE_KEY),
    signIn: (email) => signIn(url, email),
    async close() {
      for (const { app } of instances) {
        app.beginShutdown();
        app.endStreams();
      }
      await sandbox.close();
      await Promise.all(instances.map(({ http }) => http.stop()));
      for (const { app } of instances) await app.close();
      await opened.close();
    },
  };
}

/** Signs in at the server of `url` as a browser would, following its redirects by hand. */
export async function signIn(url: string, email: string): Promise<SignedIn> {
  const out = await fetch(`${url}/api/auth/google`, { redirect: "manual" });
  const location = out.headers.get("location");
  if (location === null) throw new Error(`The sign-in began with ${out.status}.`);
  const callback = await driveSignIn(location, { email });
  const back = await fetch(callback, {
    redirect: "manual",
    headers: { cookie: cookiesOf(out).join("; ") },
  });
  const cookie = cookiesOf(back).find((pair) => /^(__Host-)?refresh=./.test(pair));
  if (cookie === undefined)
    throw new Error(`The sign-in ended at ${back.headers.get("location")}.`);
  const refreshToken = cookie.slice(cookie.indexOf("=") + 1);
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
  return { client, accessToken, refreshToken, userId: user.id, email };
}

/** `name=value` of every cookie an answer sets and does not clear. */
export function cookiesOf(answer: Response): string[] {
  return answer.headers
    .getSetCookie()
    .filter((line) => !/max-age=0(;|$)/i.test(line))
    .map((line) => line.slice(0, line.indexOf(";")));
}
