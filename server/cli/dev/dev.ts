// `npm run dev`: sandbox, API and frontend together, with no credentials and no services, restarted on change.
import { existsSync, watch } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startModelSandbox } from "../../sandbox/src/model/server.ts";
import { startGoogleSandbox } from "../../sandbox/src/google/server.ts";
import { SANDBOX_ADMIN_EMAIL } from "../../sandbox/src/google/users.ts";
import { SANDBOX_DEFAULTS } from "../../sandbox/src/sandbox.ts";
import { startStripeSandbox } from "../../sandbox/src/stripe/server.ts";
import { type Child, createChild } from "./child.ts";
import { complain, endInWords, colorize, print, welcomeText } from "./output.ts";
import { watchParentProcesses } from "./parent-processes.ts";
import {
  busyPorts,
  readEnvironment,
  type DevelopmentPlan,
  planDevelopment,
} from "./environment.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const WEB = join(ROOT, "examples/web");
const EXIT_WITH_PARENT = new URL("exit-with-parent.mjs", import.meta.url).href;
const SETTLE_MS = 150;
const SLOW_START_MS = 12_000;

/** The sandboxes run here, in the parent, so that payments and users survive a restart of the API. */
async function startSandboxes(found: DevelopmentPlan) {
  const stripe =
    found.stripePort === null
      ? null
      : await startStripeSandbox({
          port: found.stripePort,
          dataDir: join(ROOT, ".data/sandbox"),
          secretKey: SANDBOX_DEFAULTS.secretKey,
          webhookSecret: SANDBOX_DEFAULTS.webhookSecret,
          webhookUrl: found.webhookUrl,
        });
  const google =
    found.googlePort === null
      ? null
      : await startGoogleSandbox({
          port: found.googlePort,
          clientId: SANDBOX_DEFAULTS.clientId,
          clientSecret: SANDBOX_DEFAULTS.clientSecret,
          redirectUris: [found.callbackUrl],
        });
  const model =
    found.modelPort === null ? null : await startModelSandbox({ port: found.modelPort });
  return {
    stripe,
    google,
    model,
    environment: {
      ...(stripe && {
        STRIPE_API_BASE: stripe.url,
        STRIPE_SECRET_KEY: stripe.secretKey,
        STRIPE_WEBHOOK_SECRET: stripe.webhookSecret,
      }),
      ...(google && {
        GOOGLE_ISSUER: google.issuer,
        GOOGLE_CLIENT_ID: google.clientId,
        GOOGLE_CLIENT_SECRET: google.clientSecret,
      }),
      ...(model && {
        AI_BASE_URL: model.url,
        AI_MODEL_FLASH: model.models.flash,
        AI_MODEL_PRO: model.models.pro,
      }),
    },
    close: async () => {
      await Promise.all([stripe?.close(), google?.close(), model?.close()]);
    },
  };
}

/** Resolves once `url` responds with success, or once `stopped` returns true. */
async function waitUntilReady(url: string, stopped: () => boolean): Promise<void> {
  while (!stopped()) {
    try {
      const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) });
      await answer.body?.cancel();
      if (answer.ok) return;
    } catch {
      // Not yet.
    }
    await sleep(80);
  }
}

/** Calls `onChange` once for a burst of changes in the API's sources or `.env`. */
function watchSources(onChange: (file: string) => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const changed = (file: string) => {
    clearTimeout(timer);
    timer = setTimeout(() => onChange(file), SETTLE_MS);
  };
  const watchers = ["server", "shared/src", "prisma/generated"].map((folder) =>
    watch(join(ROOT, folder), { recursive: true }, (_event, file) => {
      if (file?.endsWith(".ts")) changed(join(folder, file));
    }),
  );
  watchers.push(
    watch(ROOT, (_event, file) => {
      if (file === ".env") changed(".env");
    }),
  );
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}

function findVite(): string {
  const manifest = createRequire(join(WEB, "package.json")).resolve("vite/package.json");
  return join(dirname(manifest), "bin/vite.js");
}

/** The reference frontend's own development server. */
function createFrontend(found: DevelopmentPlan, vite: string): Child {
  return createChild({
    args: [
      ...["--import", EXIT_WITH_PARENT, vite],
      ...["--port", String(found.webPort ?? 0), "--strictPort", "--logLevel", "warn"],
    ],
    cwd: WEB,
    environment: () => ({ VITE_API_URL: found.apiUrl, ...found.environment }),
    onLine: (line) => line.trim() !== "" && print("web", line),
    onEnd: (end) =>
      complain(`The frontend's server ${endInWords(end)}. Press Ctrl-C and start again.`),
  });
}

async function main(): Promise<void> {
  const startedAt = performance.now();
  process.chdir(ROOT);
  const found = planDevelopment(readEnvironment());
  const busy = await busyPorts(found);
  if (busy !== null) throw new Error(busy);

  let stopping: Promise<void> | null = null;
  const sandboxes = await startSandboxes(found);
  const apiEnvironment = () => ({
    // One of the Google sandbox's users is an administrator, so that the admin area can be seen.
    ...(sandboxes.google && { ADMIN_EMAILS: SANDBOX_ADMIN_EMAIL }),
    ...sandboxes.environment,
    ...readEnvironment(),
  });

  const api = createChild({
    args: ["--import", "tsx", "--import", EXIT_WITH_PARENT, "server/main.ts"],
    environment: apiEnvironment,
    onLine: (line) => print("api", line),
    onEnd: (end) =>
      complain(
        `The API ${endInWords(end)}. It starts again when a file is saved. Ctrl-C ends everything.`,
      ),
  });
  const vite = findVite();
  const web = createFrontend(found, vite);

  const stop = (): Promise<void> => {
    stopping ??= (async () => {
      unwatch();
      await Promise.all([api.stop(), web.stop()]);
      await sandboxes.close();
    })();
    return stopping;
  };
  const unwatch = watchSources((file) => {
    print("api", colorize("dim", `${file} changed, restarting`));
    void api.restart();
  });
  const end = () => {
    if (stopping === null) process.stdout.write("\nStopping…\n");
    void stop().then(() => process.exit(0));
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, end);
  // The reader of our output may exit first; a broken pipe must not leave children behind.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", end);
  watchParentProcesses(end);

  api.start();
  if (found.webPort !== null && existsSync(vite)) web.start();
  const isStopping = () => stopping !== null;
  const slowStart = setTimeout(() => {
    if (api.running())
      process.stdout.write(
        "Still starting: the API is not ready yet. If something is wrong, its own lines say what.\n",
      );
  }, SLOW_START_MS);
  await Promise.all([
    waitUntilReady(`${found.apiUrl}/ready`, isStopping),
    found.webPort === null ? undefined : waitUntilReady(found.frontendUrl, isStopping),
  ]);
  clearTimeout(slowStart);
  if (isStopping()) return;
  process.stdout.write(
    welcomeText(found, (performance.now() - startedAt) / 1000, {
      google: sandboxes.google?.issuer,
      stripe: sandboxes.stripe?.url,
    }),
  );
}

main().catch((error: unknown) => {
  complain(error instanceof Error ? error.message : String(error));
  process.exit(1);
});
