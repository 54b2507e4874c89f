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

/** Everything that a person at a browser touches. */
export type BrowserWorld = Awaited<ReturnType<typeof startBrowserWorld>>;

interface BrowserWorldOptions {
  env?: Record<string, string>;
  /** Whether the frontend and the API are on two https sites, as SameSite=None requires. */
  crossSite?: boolean;
}

/** Returns the path of Chromium. Throws with instructions if it is missing. */
function chromiumPath(): string {
  const path = process.env["CHROMIUM_PATH"] ?? "/usr/bin/chromium";
  if (existsSync(path)) return path;
  throw new Error(
    `There is no Chromium at ${path}. Install it (Debian: apt-get install chromium) or set CHROMIUM_PATH.`,
  );
}

/** Starts everything. The limits are the usual ones, so a story that makes too many calls fails. */
export async function startBrowserWorld({ env, crossSite = false }: BrowserWorldOptions = {}) {
  const folder = mkdtempSync(join(tmpdir(), "skywork-browser-"));
  const closers: Closers = [() => rmSync(folder, { recursive: true, force: true })];
  const close = async () => {
    for (const closer of closers.toReversed()) await closer();
  };
  try {
    const newContext = crossSite ? usualProfile(folder, closers) : await privateWindows(closers);
    // The build needs the API's address, and the API is configured with the frontend's, so the proxy is started first.
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
        // Empty selects the default.
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
      /** Sits between the browser and the API. */
      proxy,
      /** Opens a person's browser, with its own cookies. */
      newPerson: async (viewport = DESKTOP) => prepared(await newContext(viewport)),
      /** Uses up credits as an AI worker would. */
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

/** A private window per person: fast, and nothing is shared. */
async function privateWindows(closers: Closers): Promise<NewContext> {
  const browser = await chromium.launch({ executablePath: chromiumPath(), args: CHROMIUM_ARGS });
  closers.push(() => browser.close());
  return (viewport) => browser.newContext({ viewport, locale: "en-US" });
}

/** A browser that accepts cross-site cookies: private windows refuse them all, regardless of SameSite. */
function usualProfile(folder: string, closers: Closers): NewContext {
  return async (viewport) => {
    const profile = mkdtempSync(join(folder, "profile-"));
    mkdirSync(join(profile, "Default"));
    // The setting "Allow third-party cookies".
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
  // Google's profile pictures are not available on this machine.
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

/** Terminates TLS in front of a plain port, as a load balancer does. Resolves with its port. */
async function front(
  certificate: ReturnType<typeof makeCertificate>,
  targetPort: number,
  closers: Closers,
): Promise<number> {
  const server = createTlsServer(certificate, (client) => {
    const onward = connect(targetPort, "127.0.0.1");
    pipeline(client, onward, client, () => undefined);
  });
  // Open connections end with the port behind it.
  closers.push(() => void server.close());
  return listen(server);
}
