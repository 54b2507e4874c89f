// `npm run build`: dist/ holds everything production needs besides package.json and node_modules.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

function run(...args) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

// A file deleted from the sources must not live on in dist/.
rmSync(`${root}dist`, { recursive: true, force: true });
if (!existsSync(`${root}prisma/generated/mysql/client.ts`)) run("prisma/generate.mjs");
run("node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json");

// What the server reads at run time besides its own code: the migrations, and pages or styles next to the sources.
cpSync(`${root}prisma/migrations`, `${root}dist/prisma/migrations`, { recursive: true });
cpSync(`${root}prisma/sqlite/migrations`, `${root}dist/prisma/sqlite/migrations`, {
  recursive: true,
});
const COPIED = new Set([".html", ".css", ".js", ".svg", ".json", ".sql"]);
cpSync(`${root}server`, `${root}dist/server`, {
  recursive: true,
  filter: (from) =>
    !from.startsWith(`${root}server/sandbox`) &&
    (extname(from) === "" || COPIED.has(extname(from))),
});

const sizes = readdirSync(`${root}dist`, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => statSync(join(entry.parentPath, entry.name)).size);
const megabytes = sizes.reduce((sum, bytes) => sum + bytes, 0) / 1e6;
console.log(
  `The server is in dist/: ${sizes.length} files, ${megabytes.toFixed(1)} MB. Run it with: npm start`,
);
console.log("The frontend is built apart: npm run build -w examples/web");
