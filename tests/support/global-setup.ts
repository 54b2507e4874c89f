// Gives the databases of this run a common name, by which they are dropped when it ends.
import { randomBytes } from "node:crypto";
import { availableServers } from "./servers.ts";
import { dropDatabasesOfRun } from "./mysql-databases.ts";

/** Called by Vitest before a project's first file; returns what Vitest calls after the last. */
export function setup(): () => Promise<void> {
  process.env["TEST_RUN"] ??= randomBytes(3).toString("hex");
  return async () => {
    const { databases } = await availableServers();
    for (const { url } of databases) await dropDatabasesOfRun(url);
  };
}
