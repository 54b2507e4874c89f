// The simulation's database: the real embedded one, in memory where the machine has a place for that, emptied for
// every seed, and a reader of its own that sees what is committed without disturbing anybody.
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seedCatalog } from "../../prisma/seed.ts";
import { openEmbeddedDatabase } from "../../server/database/sqlite/open.ts";
import { openSqliteConnection } from "../../server/database/sqlite/connection.ts";
import type { SqliteValue } from "../../server/database/sqlite/values.ts";
import { silent } from "../support/silent.ts";

/** One file, used by one seed after the other. */
export type Store = Awaited<ReturnType<typeof openStore>>;

const MEMORY = "/dev/shm";

/** Opens a fresh file. */
export async function openStore() {
  const parent = existsSync(MEMORY) ? MEMORY : tmpdir();
  const folder = await mkdtemp(join(parent, "skywork-simulation-"));
  const path = join(folder, "simulation.db");
  const open = await openEmbeddedDatabase(`file:${path}`, {
    logger: silent,
    mayCreate: true,
  });
  await seedCatalog(open.database.models);
  const reader = openSqliteConnection(path, "reader");

  function rows<Row>(sql: string, ...args: readonly SqliteValue[]): Row[] {
    const { columns, rows: found } = reader.run(sql, args);
    return found.map(
      (row) => Object.fromEntries(columns.map((column, at) => [column, row[at]])) as Row,
    );
  }
  const tables = rows<{ name: string }>(
    `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'
     AND name NOT LIKE 'sqlite%' AND name NOT IN ('credit_packages', 'plans')`,
  );

  return {
    open,
    /** Committed rows, at once. */
    rows,
    /** Changes whenever somebody commits. */
    version: () => rows<{ data_version: number }>("PRAGMA data_version")[0]?.data_version ?? 0,
    /** No rows but the catalog's. */
    empty: () =>
      open.database.rawTransaction(async (session) => {
        for (const { name } of tables) await session.execute(`DELETE FROM ${name}`, []);
        await session.execute("UPDATE plans SET stripePriceId = NULL", []);
        await session.execute("UPDATE credit_packages SET stripePriceId = NULL", []);
      }),
    close: async () => {
      reader.close();
      await open.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
