// Owns a whole deployment for browser tests: sandbox, API, the built frontend, and a real Chromium.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer as createPlainServer, request as plainRequest } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { build, preview } from "vite";
import { createApp } from "../../server/app.ts";
import { parseConfig } from "../../server/config.ts";
import { createHttpServer, type HttpServer } from "../../server/http/server.ts";
import { createLogger } from "../../server/logger.ts";
import { type Sandbox, startSandbox } from "../../server/sandbox/sandbox.ts";
import { createClient } from "../../shared/src/client.ts";
import { describeBackend } from "../support/databases.ts";

const WEB = join(import.meta.dirname, "../../examples/web");
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

export const DESKTOP = { width: 1280, height: 900 };
export const PHONE = { width: 360, height: 740 };

/** Everything a person at a browser touches. */
export interface BrowserWorld {
  readonly webUrl: string;
  readonly apiUrl: string;
  readonly sandbox: Sandbox;
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
    const browser = await chromium.launch({
      executablePath: chromiumPath(),
      args: [...CHROMIUM_ARGS, ...(options.crossSite ? ["--ignore-certificate-errors"] : [])],
    });
    closers.push(() => browser.close());

    let handle: Parameters<typeof createHttpServer>[0] = (_request, response) => response.end();
    const http = createHttpServer((request, response) => handle(request, response));
    const apiPort = await http.listen(0, "127.0.0.1");
    const tls = options.crossSite ? makeCertificate(folder) : null;
    const apiUrl = tls
      ? `https://localhost:${await front(tls, apiPort, closers)}`
      : `http://localhost:${apiPort}`;

    const web = await startFrontend(folder, apiUrl, closers);
    const webUrl = tls
      ? `https://127.0.0.1:${await front(tls, web.port, closers)}`
      : `http://localhost:${web.port}`;

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
      newPerson: (viewport = DESKTOP) => newPerson(browser, viewport, tls !== null),
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

async function newPerson(browser: Browser, viewport: typeof DESKTOP, selfSigned: boolean) {
  const context = await browser.newContext({
    viewport,
    locale: "en-US",
    ignoreHTTPSErrors: selfSigned,
    acceptDownloads: true,
  });
  context.setDefaultTimeout(15_000);
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

/** The frontend as it is deployed: built for this API, served as files. */
async function startFrontend(
  folder: string,
  apiUrl: string,
  closers: (() => Promise<void> | void)[],
): Promise<{ port: number }> {
  const outDir = join(folder, "web");
  await build({
    root: WEB,
    logLevel: "error",
    define: { "import.meta.env.VITE_API_URL": JSON.stringify(apiUrl) },
    build: { outDir, emptyOutDir: true },
  });
  const server = await preview({
    root: WEB,
    logLevel: "error",
    build: { outDir },
    preview: { host: "localhost", port: await freePort(), strictPort: true },
  });
  closers.push(() => server.close());
  return { port: (server.httpServer.address() as AddressInfo).port };
}

async function freePort(): Promise<number> {
  const probe = createPlainServer();
  await new Promise<void>((resolve) => probe.listen(0, "localhost", resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
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
        host: "localhost",
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

/** Signs in at the sandbox Google from the sign-in page that is open. */
export async function signInAs(page: Page, email: string): Promise<void> {
  await page.getByRole("button", { name: "Continue with Google" }).click();
  await page.getByLabel("E-mail address").fill(email);
  await page.getByRole("button", { name: "Continue", exact: true }).click();
  await page.getByTestId("available").waitFor();
}

/** Waits until the text of `testId` contains `text`. */
export async function seeIn(page: Page, testId: string, text: string | RegExp): Promise<void> {
  await page.getByTestId(testId).filter({ hasText: text }).first().waitFor();
}
