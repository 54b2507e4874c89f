// What Prisma's own command line reads: schema and migrations of the database that DATABASE_URL names.
import { defineConfig } from "prisma/config";
import { databaseUrl } from "./prisma/database-url.mjs";

const url = databaseUrl();
const folder = url.startsWith("file:") ? "prisma/sqlite" : "prisma";

export default defineConfig({
  schema: `${folder}/schema.prisma`,
  migrations: { path: `${folder}/migrations` },
  datasource: { url },
});
