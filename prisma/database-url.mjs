// DATABASE_URL as Prisma's own command line accepts it, read as every command of the server reads it.

/**
 * Returns DATABASE_URL from the environment, else from the working directory's `.env`, else the embedded database.
 * Blank counts as unset.
 * @returns {string}
 */
export function databaseUrl() {
  if (process.env.DATABASE_URL?.trim() === "") delete process.env.DATABASE_URL;
  try {
    process.loadEnvFile(".env");
  } catch (error) {
    if (error?.code !== "ENOENT") throw error;
  }
  const given = process.env.DATABASE_URL?.trim() || "file:./.data/skywork.db";
  // Prisma knows MariaDB only by MySQL's scheme.
  return given.replace(/^mariadb:/, "mysql:");
}
