// How a command of the server starts: from its sources where tsx is installed, from dist/ after `npm prune --omit=dev`.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const COMMANDS = {
  start: "server/main",
  doctor: "server/cli/commands/doctor",
  migrate: "server/cli/commands/migrate",
  reconcile: "server/cli/commands/reconcile",
  "stripe-sync": "server/cli/commands/stripe-sync",
};

/** As package.json has them, for whoever puts this file in place of `npm run`. */
const SCRIPTS = { "stripe:sync": "stripe-sync", "prisma:migrate": "migrate" };

// Process 1, which this is in a container, gets only those signals that it listens for: without this, neither `docker
// stop` during the start nor Ctrl-C on a command would end it. Whoever listens too (main.ts) decides.
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
  // Empty, and blank, counts as unset, as everywhere (parseConfig).
  if (!process.env.NODE_ENV?.trim()) process.env.NODE_ENV = "production";
  stopWithNpm();
}
const tsx = name === "start" || !existsSync(source) ? undefined : await loadTsx();
if (tsx === undefined && !existsSync(built)) {
  console.error(`${fileURLToPath(built)} is missing: run \`npm run build\` first.`);
  process.exit(1);
}

const entry = tsx === undefined ? built : source;
// The command sees its own arguments, as if Node.js had been given its file; `--` is for npm, which drops it.
process.argv.splice(1, process.argv[3] === "--" ? 3 : 2, fileURLToPath(entry));
tsx?.register();
await import(entry.href);

/** npm hands SIGTERM and SIGINT on (package.json says `exec`), but killed outright it cannot: then the server stops too. */
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

/** tsx is a development dependency; without it the answer is undefined. */
async function loadTsx() {
  try {
    return await import("tsx/esm/api");
  } catch (error) {
    if (error?.code === "ERR_MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}
