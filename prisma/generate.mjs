// `prisma generate` for both schemas, offline.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

// Absent after `npm prune --omit=dev`: production runs the clients compiled into dist/.
const cli = fileURLToPath(new URL("../node_modules/prisma/build/index.js", import.meta.url));
if (existsSync(cli)) {
  for (const schema of ["prisma/schema.prisma", "prisma/sqlite/schema.prisma"]) {
    const { status } = spawnSync(process.execPath, [cli, "generate", "--schema", schema], {
      stdio: ["ignore", "ignore", "inherit"],
      // Prisma would download its schema engine, which `generate` does not use; any existing file stops that.
      env: {
        ...process.env,
        PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
        PRISMA_HIDE_UPDATE_MESSAGE: "1",
      },
    });
    if (status !== 0) process.exit(status ?? 1);
  }
}
