// Starts a command of the server: from its sources where tsx is installed, from dist/ after `npm prune --omit=dev`.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const COMMANDS = {
  start: "server/main",
  doctor: "server/cli/commands/doctor",
  migrate: "server/cli/commands/migrate",
  reconcile: "server/cli/commands/reconcile",
  "stripe-sync": "server/cli/commands/stripe-sync",
};

/** The names in package.json, for callers that run this file instead of `npm run`. */
const SCRIPTS = { "stripe:sync": "stripe-sync", "prisma:migrate": "migrate" };

// As process 1 in a container, this process gets only the signals it listens for: without this, neither `docker stop`
// during the start nor Ctrl-C on a command would end it. If there is another listener (main.ts), that one decides.
if (process.pid === 1)
  for (const [signal, number] of Object.entries({ SIGINT: 2, SIGTERM: 15 }))
    process.on(signal, () => {
      if (process.listenerCount(signal) === 1) process.exit(128 + number);
    });

const given = process.argv[2] ?? "";
const name = Object.hasOwn(SCRIPTS, given) ? SCRIPTS[given] : given;
if (!Object.hasOwn(COMMANDS, name)) {
  console.error(`Usage: node server/cli/run.mjs ${Object.keys(COMMANDS).join("|")} [arguments]`);
  process.exit(2);
}

const source = new URL(`../../${COMMANDS[name]}.ts`, import.meta.url);
const built = new URL(`../../dist/${COMMANDS[name]}.js`, import.meta.url);

// `npm start` is production and so must run what `npm run build` made, never the sources.
if (name === "start") {
  // Empty or blank counts as unset, as everywhere (parseConfig).
  if (!process.env.NODE_ENV?.trim()) process.env.NODE_ENV = "production";
  stopWithNpm();
}
const tsx = name === "start" || !existsSync(source) ? undefined : await loadTsx();
if (tsx === undefined && !existsSync(built)) {
  console.error(`${fileURLToPath(built)} is missing: run \`npm run build\` first.`);
  process.exit(1);
}

const entry = tsx === undefined ? built : source;
// The command sees only its own arguments, as if Node.js had been given its file; a `--` meant for npm is dropped.
process.argv.splice(1, process.argv[3] === "--" ? 3 : 2, fileURLToPath(entry));
tsx?.register();
await import(entry.href);

/** npm forwards SIGTERM and SIGINT (package.json says `exec`) unless killed outright; then this stops the server. */
function stopWithNpm() {
  const npm = process.ppid;
  if (process.env.npm_lifecycle_event !== "start" || npm <= 1) return;
  const timer = setInterval(() => {
    if (process.ppid === npm) return;
    clearInterval(timer);
    process.kill(process.pid, "SIGTERM");
  }, 500);
  timer.unref();
}

/** Loads tsx, which is a development dependency; undefined if it is not installed. */
async function loadTsx() {
  try {
    return await import("tsx/esm/api");
  } catch (error) {
    if (error?.code === "ERR_MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}
