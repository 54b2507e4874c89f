// A whole deployment for browser tests: sandbox, API, the built frontend, and a real Chromium.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream";
import { createServer as createTlsServer } from "node:tls";
import { type BrowserContext, chromium } from "playwright-core";
import { createAuthority } from "../support/certificates.ts";
import { listen } from "../support/ports.ts";
import { openTestApp } from "../support/server.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { serveFrontend } from "./frontend.ts";

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
export type BrowserWorld = Awaited<ReturnType<typeof startBrowserWorld>>;

interface BrowserWorldOptions {
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
export async function startBrowserWorld({ env, crossSite = false }: BrowserWorldOptions = {}) {
  const folder = mkdtempSync(join(tmpdir(), "skywork-browser-"));
  const closers: Closers = [() => rmSync(folder, { recursive: true, force: true })];
  const close = async () => {
    for (const closer of closers.toReversed()) await closer();
  };
  try {
    const newContext = crossSite ? usualProfile(folder, closers) : await privateWindows(closers);
    // The frontend is built for the API's address, and the API is told the frontend's: the proxy's address is there first.
    const proxy = await startTcpProxy("127.0.0.1", 0);
    closers.push(proxy.close);
    const tls = crossSite ? makeCertificate(closers) : null;
    const apiUrl = tls
      ? `https://localhost:${await front(tls, proxy.port, closers)}`
      : `http://localhost:${proxy.port}`;
    const web = await serveFrontend(apiUrl);
    closers.push(web.close);
    const webUrl = tls
      ? `https://127.0.0.1:${await front(tls, web.port, closers)}`
      : `http://localhost:${web.port}`;

    const callback = `${apiUrl}/api/auth/google/callback`;
    const app = await openTestApp({
      jobs: true,
      env: {
        FRONTEND_URL: webUrl,
        GOOGLE_CALLBACK_URL: callback,
        // Empty: the default.
        RATE_LIMIT_MAX_REQUESTS: "",
        ...env,
      },
      sandbox: { redirectUris: [callback] },
    });
    closers.push(app.close);
    proxy.moveTo(app.config.port);
    const { service } = app.serviceClient();
    return {
      webUrl,
      apiUrl,
      sandbox: app.sandbox,
      /** Between the browser and the API. */
      proxy,
      /** A person's browser: its own cookies. */
      newPerson: async (viewport = DESKTOP) => prepared(await newContext(viewport)),
      /** Takes credits away as an AI worker would. */
      async workerSpends(userId: string, amount: number) {
        const idempotencyKey = `burn-${amount}-${Date.now()}`;
        const { holdId } = await service.reserve.mutate({ userId, amount, idempotencyKey });
        await service.settle.mutate({ holdId, amount });
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

type Closers = (() => Promise<void> | void)[];
type NewContext = (viewport: typeof DESKTOP) => Promise<BrowserContext>;

/** A private window for each person: fast, and nothing is shared. */
async function privateWindows(closers: Closers): Promise<NewContext> {
  const browser = await chromium.launch({ executablePath: chromiumPath(), args: CHROMIUM_ARGS });
  closers.push(() => browser.close());
  return (viewport) => browser.newContext({ viewport, locale: "en-US" });
}

/** A browser that takes cookies of another site: private windows refuse them all, whatever their SameSite says. */
function usualProfile(folder: string, closers: Closers): NewContext {
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

function makeCertificate(closers: Closers) {
  const authority = createAuthority();
  closers.push(authority.remove);
  authority.issue("DNS:localhost,IP:127.0.0.1");
  return {
    key: readFileSync(authority.keyFile),
    cert: readFileSync(authority.certificateFile),
  };
}

/** TLS before a plain port, as a load balancer has it. Answers its port. */
async function front(
  certificate: ReturnType<typeof makeCertificate>,
  targetPort: number,
  closers: Closers,
): Promise<number> {
  const server = createTlsServer(certificate, (client) => {
    const onward = connect(targetPort, "127.0.0.1");
    pipeline(client, onward, client, () => undefined);
  });
  // What is open ends with the port behind it.
  closers.push(() => void server.close());
  return listen(server);
}
