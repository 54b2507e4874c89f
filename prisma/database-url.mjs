// DATABASE_URL as Prisma's own command line takes it, read as every command of the server reads it.

/**
 * `.env` of the working directory counts under what the environment has; blank counts as unset.
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
  // Prisma knows MariaDB by MySQL's name alone.
  return given.replace(/^mariadb:/, "mysql:");
}
