// `npm run prisma:migrate`: applies pending migrations to the database of DATABASE_URL, offline, and prints which.
import { databaseUrl } from "../../config/addresses.ts";
import { loadEnvironment } from "../../config/environment.ts";
import { DEFAULTS } from "../../config/variables.ts";
import { openDatabase } from "../../database/open.ts";
import { createLogger } from "../../lib/logger.ts";

/** Requires only the database's part of the environment, so that it runs before the rest is set up. */
async function main(): Promise<void> {
  const variables = loadEnvironment();
  const given = { ...DEFAULTS, ...variables };
  const database = databaseUrl.safeParse(given["DATABASE_URL"]);
  if (!database.success)
    throw new Error(`DATABASE_URL ${database.error.issues[0]?.message ?? "cannot be read"}`);
  const sslCa = given["DATABASE_SSL_CA"];
  const environment = given["NODE_ENV"] === "production" ? "production" : "development";
  const logger = createLogger({ level: variables["LOG_LEVEL"] ?? "warn" });
  const open = await openDatabase({
    config: { environment, database: { ...database.data, ...(sslCa && { sslCa }) } },
    logger,
    mayCreate: true,
  });
  for (const name of open.migrated) process.stdout.write(`applied ${name}\n`);
  if (open.migrated.length === 0) process.stdout.write("The database is up to date.\n");
  await open.close();
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
