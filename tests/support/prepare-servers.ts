// The servers of a whole run: found once, and started where the run needs an engine that does not answer.
import type { EngineName } from "./engine-choice.ts";
import { startSqlServer } from "./engines/sql-server.ts";
import {
  serversFor,
  findServers,
  onlySqlite,
  probeDatabase,
  type FoundServer,
  type Servers,
} from "./servers.ts";

/** SQLite alone; or the servers that are found, too; or MySQL and MariaDB even where they have to be started. */
export type EngineNeeds = "sqlite" | "found" | "every";

/**
 * The servers of this run, which is about `choice` or (null) all engines. What it starts ends with this process. An
 * engine that was chosen and cannot be started throws; one that was not is named as missing, which fails CI alone.
 */
export async function prepareServers(
  choice: EngineName | null,
  needs: EngineNeeds,
): Promise<Servers> {
  if (needs === "sqlite") return onlySqlite();
  const found = await findServers(process.env);
  if (choice !== null) return serversFor(choice, found, startEngine);
  if (needs === "found") return found;
  const databases = [...found.databases];
  const missing = [...found.missing];
  for (const engine of ["mysql", "mariadb"] as const) {
    if (databases.some((server) => server.engine === engine)) continue;
    try {
      databases.push(await startEngine(engine));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      missing.push({ name: engine, reason, fails: Boolean(process.env["CI"]) });
    }
  }
  return { ...found, databases, missing };
}

async function startEngine(engine: "mysql" | "mariadb"): Promise<FoundServer> {
  const { url } = await startSqlServer(engine);
  return probeDatabase(url);
}
