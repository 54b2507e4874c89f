// The servers of a whole run: found once, and started where the run needs an engine that does not answer.
import type { EngineName } from "./engine-choice.ts";
import { startSqlServer } from "./engines/sql-server.ts";
import {
  findServers,
  onlySqlite,
  probeDatabase,
  type FoundServer,
  type Servers,
} from "./servers.ts";

/** SQLite alone; or the servers that are found, too; or MySQL and MariaDB even where they have to be started. */
export type EngineNeeds = "sqlite" | "found" | "every";

/**
 * The servers of this run, which is about `choice` or (null) all engines: those that answer, and those of `needs` that do
 * not, started. What is started ends with this process. An engine that was chosen and cannot be started throws; one that
 * was not is named as missing, which fails CI alone.
 */
export async function prepareServers(
  choice: EngineName | null,
  needs: EngineNeeds,
  find = () => findServers(process.env),
  start = startEngine,
): Promise<Servers> {
  if (needs === "sqlite") return onlySqlite();
  const found = await find();
  const databases = found.databases.filter(({ engine }) => choice === null || engine === choice);
  const every = needs === "every" ? (["mysql", "mariadb"] as const) : [];
  const wanted = choice === null ? every : choice === "sqlite" ? [] : [choice];
  let missing = found.missing;
  for (const engine of wanted) {
    if (databases.some((server) => server.engine === engine)) continue;
    try {
      databases.push(await start(engine));
      if (choice !== null) missing = [];
    } catch (error) {
      if (choice !== null) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      missing = [...missing, { name: engine, reason, fails: Boolean(process.env["CI"]) }];
    }
  }
  return { ...found, databases, missing };
}

async function startEngine(engine: "mysql" | "mariadb"): Promise<FoundServer> {
  const { url } = await startSqlServer(engine);
  return probeDatabase(url);
}
