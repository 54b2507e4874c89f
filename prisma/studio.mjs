// `npm run prisma:studio`: Prisma Studio on the database that DATABASE_URL names, embedded or MySQL, offline.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { register } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { databaseUrl } from "./database-url.mjs";

const root = fileURLToPath(new URL("..", import.meta.url)).replace(/[\\/]$/, "");

if (process.env.SKYWORK_STUDIO === undefined) launch();
else useLibsql();

function launch() {
  const configured = databaseUrl();
  const embedded = configured.startsWith("file:");
  const file = resolve(root, configured.replace(/^file:(\/\/(?=\/))?/, ""));
  if (embedded && !existsSync(file)) {
    console.error(`There is no database at ${file} yet: run \`npm run prisma:migrate\` first.`);
    process.exit(1);
  }
  // Studio supports only the protocols file:// and mysql://.
  const url = embedded ? `file://${file}` : configured;
  const cli = `${root}/node_modules/prisma/build/index.js`;
  const child = spawn(
    process.execPath,
    ["--import", import.meta.url, cli, "studio", "--url", url, ...process.argv.slice(2)],
    {
      cwd: root,
      stdio: "inherit",
      env: {
        ...process.env,
        SKYWORK_STUDIO: "1",
        // Any existing file keeps the CLI from downloading a schema engine, which Studio does not use.
        PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
        PRISMA_HIDE_UPDATE_MESSAGE: "1",
      },
    },
  );
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code) => process.exit(code ?? 1));
}

/** Before Node.js 22 Studio opens SQLite through better-sqlite3; libsql has the same interface and is installed. */
function useLibsql() {
  const hook = `export const resolve = (specifier, context, next) =>
    specifier === "better-sqlite3"
      ? next("libsql", { ...context, parentURL: ${JSON.stringify(import.meta.url)} })
      : next(specifier, context);`;
  register(`data:text/javascript,${encodeURIComponent(hook)}`);
}
