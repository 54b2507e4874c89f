// A whole deployment for browser tests: sandbox, API, the built frontend, and a real Chromium.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request as plainRequest } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium } from "playwright-core";
import { createApp } from "../../server/app.ts";
import { parseConfig } from "../../server/config/parse-config.ts";
import { createHttpServer, type HttpServer } from "../../server/http/server.ts";
import { createLogger } from "../../server/lib/logger.ts";
import { type Sandbox, startSandbox } from "../../server/sandbox/src/sandbox.ts";
import { createClient } from "../../shared/src/client.ts";
import { describeBackend } from "../support/databases.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { createFrontendServer } from "./frontend.ts";
import { listen } from "../support/ports.ts";

const WORKER_KEY = "worker-key-of-the-browser-tests-0123456789";

const CHROMIUM_ARGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const PICTURE = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><rect width="8" height="8" fill="#c7d2fe"/><circle cx="4" cy="3" r="1.6" fill="#4f46e5"/><path d="M1 8a3 3 0 0 1 6 0z" fill="#4f46e5"/></svg>`;

export const DESKTOP = { width: 1280, height: 900 };
export const PHONE = { width: 360, height: 740 };

/** Everything a person at a browser touches. */
export interface BrowserWorld {
  readonly webUrl: string;
  readonly apiUrl: string;
  readonly sandbox: Sandbox;
  /** Between the browser and the API, where asked for. */
  readonly proxy: TcpProxy | null;
  /** A person's browser: its own cookies. */
  newPerson(viewport?: { width: number; height: number }): Promise<BrowserContext>;
  /** Takes credits away as an AI worker would. */
  workerSpends(userId: string, amountCredits: number): Promise<void>;
  close(): Promise<void>;
}

export interface BrowserWorldOptions {
  env?: Record<string, string>;
  /** The frontend and the API on two https sites, as SameSite=None needs. */
  crossSite?: boolean;
  /** A proxy before the API whose connections a test can cut. */
  proxied?: boolean;
}

/** Where Chromium is; a sentence when it is not there. */
function chromiumPath(): string {
  const path = process.env["CHROMIUM_PATH"] ?? "/usr/bin/chromium";
  if (existsSync(path)) return path;
  throw new Error(
    `There is no Chromium at ${path}. Install it (Debian: apt-get install chromium) or set CHROMIUM_PATH.`,
  );
}

/** Starts it all. The limits are the usual ones, so a story that calls too often fails. */
export async function startBrowserWorld(options: BrowserWorldOptions = {}): Promise<BrowserWorld> {
  const folder = mkdtempSync(join(tmpdir(), "skywork-browser-"));
  const closers: (() => Promise<void> | void)[] = [
    () => rmSync(folder, { recursive: true, force: true }),
  ];
  const close = async () => {
    for (const closer of closers.toReversed()) await closer();
  };
  try {
    const newContext = options.crossSite
      ? usualProfile(folder, closers)
      : await privateWindows(closers);

    let handle: Parameters<typeof createHttpServer>[0] = (_request, response) => response.end();
    const http = createHttpServer((request, response) => handle(request, response));
    const apiPort = await http.listen(0, "127.0.0.1");
    const proxy = options.proxied ? await startTcpProxy("127.0.0.1", apiPort) : null;
    closers.push(async () => proxy?.close());
    const tls = options.crossSite ? makeCertificate(folder) : null;
    const apiUrl = tls
      ? `https://localhost:${await front(tls, apiPort, closers)}`
      : `http://localhost:${proxy?.port ?? apiPort}`;

    const webPort = await startFrontend(apiUrl, closers);
    const webUrl = tls
      ? `https://127.0.0.1:${await front(tls, webPort, closers)}`
      : `http://localhost:${webPort}`;

    const sandbox = await startSandbox({
      webhookUrl: `http://127.0.0.1:${apiPort}/api/payment/webhook`,
      redirectUris: [`${apiUrl}/api/auth/google/callback`],
    });
    closers.push(() => sandbox.close());
    const logger = createLogger({ level: "silent" });
    const opened = await describeBackend("embedded", null, null).open(logger);
    const config = parseConfig({
      NODE_ENV: "test",
      PORT: String(apiPort),
      JWT_SECRET: "access-secret-of-the-browser-tests-0123456789",
      REFRESH_TOKEN_SECRET: "refresh-secret-of-the-browser-tests-0123456789",
      SERVICE_API_KEYS: `worker:${WORKER_KEY}`,
      FRONTEND_URL: webUrl,
      GOOGLE_CALLBACK_URL: `${apiUrl}/api/auth/google/callback`,
      ...sandbox.env,
      ...opened.env,
      ...options.env,
    });
    const app = createApp({ config, backend: opened.backend, logger });
    handle = app.handle;
    app.jobs.start();
    closers.push(async () => {
      await stopApi(app, http);
      await opened.close();
    });
    const worker = createClient({
      url: `http://127.0.0.1:${apiPort}/api/trpc`,
      cookies: false,
      getAccessToken: () => WORKER_KEY,
    });
    return {
      webUrl,
      apiUrl,
      sandbox,
      proxy,
      newPerson: async (viewport = DESKTOP) => prepared(await newContext(viewport)),
      async workerSpends(userId, amountCredits) {
        const { holdId } = await worker.service.reserve.mutate({
          userId,
          amount: amountCredits,
          idempotencyKey: `burn-${amountCredits}-${Date.now()}`,
        });
        await worker.service.settle.mutate({ holdId, amount: amountCredits });
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

type NewContext = (viewport: typeof DESKTOP) => Promise<BrowserContext>;

/** A private window for each person: fast, and nothing is shared. */
async function privateWindows(closers: (() => Promise<void> | void)[]): Promise<NewContext> {
  const browser = await chromium.launch({ executablePath: chromiumPath(), args: CHROMIUM_ARGS });
  closers.push(() => browser.close());
  return (viewport) => browser.newContext({ viewport, locale: "en-US" });
}

/** A browser that takes cookies of another site: private windows refuse them all, whatever their SameSite says. */
function usualProfile(folder: string, closers: (() => Promise<void> | void)[]): NewContext {
  return async (viewport) => {
    const profile = mkdtempSync(join(folder, "profile-"));
    mkdirSync(join(profile, "Default"));
    // The switch "Allow third-party cookies" of the settings page.
    writeFileSync(
      join(profile, "Default/Preferences"),
      JSON.stringify({ profile: { block_third_party_cookies: false, cookie_controls_mode: 0 } }),
    );
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: chromiumPath(),
      args: [...CHROMIUM_ARGS, "--ignore-certificate-errors"],
      ignoreHTTPSErrors: true,
      viewport,
      locale: "en-US",
    });
    closers.push(() => context.close());
    return context;
  };
}

async function prepared(context: BrowserContext): Promise<BrowserContext> {
  context.setDefaultTimeout(15_000);
  // Google's pictures of people are not on this machine.
  await context.route(/googleusercontent/, (route) =>
    route.fulfill({ contentType: "image/svg+xml", body: PICTURE }),
  );
  return context;
}

async function stopApi(
  app: { beginShutdown(): void; endStreams(): void; close(): Promise<void> },
  http: HttpServer,
): Promise<void> {
  app.beginShutdown();
  app.endStreams();
  await http.stop();
  await app.close();
}

/** Serves the built frontend. Answers its port. */
async function startFrontend(
  apiUrl: string,
  closers: (() => Promise<void> | void)[],
): Promise<number> {
  const server = createFrontendServer(apiUrl);
  closers.push(() => stopServer(server));
  return listen(server);
}

interface Certificate {
  key: Buffer;
  cert: Buffer;
}

function makeCertificate(folder: string): Certificate {
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  execFileSync(
    "openssl",
    [
      ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"],
      ...["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert],
    ],
    { stdio: "ignore" },
  );
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

/** A TLS proxy before a plain port, as a load balancer is. Answers its port. */
async function front(
  certificate: Certificate,
  targetPort: number,
  closers: (() => Promise<void> | void)[],
): Promise<number> {
  const proxy = createTlsServer(certificate, (request, response) => {
    const onward = plainRequest(
      {
        host: "127.0.0.1",
        port: targetPort,
        method: request.method,
        path: request.url,
        headers: request.headers,
      },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "localhost", resolve));
  closers.push(() => stopServer(proxy));
  return (proxy.address() as AddressInfo).port;
}

function stopServer(server: Server & { closeAllConnections(): void }): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
