// The servers of a whole run: located once, and started if the run needs an engine that does not answer.
import type { EngineName } from "./engine-choice.ts";
import { startSqlServer } from "./engines/sql-server.ts";
import {
  findServers,
  onlySqlite,
  probeDatabase,
  type FoundServer,
  type Servers,
} from "./servers.ts";

/** `sqlite`: SQLite only. `found`: any servers found, too. `every`: MySQL and MariaDB even if they must be started. */
export type EngineNeeds = "sqlite" | "found" | "every";

/**
 * Returns the servers of this run, which covers `choice` or (null) all engines: those that answer, plus, as far as
 * `needs` requires, those that had to be started; they end with this process. Throws if a chosen engine cannot be
 * started. One that was not chosen explicitly is only listed as missing, which is a failure in CI but not elsewhere.
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
