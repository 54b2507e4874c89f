// `npm run build -w shared`: builds the package's JavaScript and declarations, from scratch each time.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = `${root}shared/dist`;

// A file deleted from the sources must not be published again.
rmSync(dist, { recursive: true, force: true });
const { status } = spawnSync(
  process.execPath,
  [`${root}node_modules/typescript/bin/tsc`, "-p", `${root}shared/tsconfig.json`],
  { stdio: "inherit" },
);
if (status !== 0) process.exit(status ?? 1);

// tsc rewrites "./x.ts" to "./x.js" only in JavaScript; a package's declarations must name files that exist too.
for (const name of readdirSync(dist)) {
  if (!name.endsWith(".d.ts")) continue;
  const text = readFileSync(`${dist}/${name}`, "utf8");
  writeFileSync(`${dist}/${name}`, text.replace(/((?:from|import\() ?"\.[^"]*)\.ts"/g, '$1.js"'));
}
