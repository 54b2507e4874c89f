// If the database rolls back a caller's transaction in the middle of a ledger batch, nothing of the batch remains.
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { DatabaseTransaction } from "../../../server/database/ports.ts";
import { available } from "../../support/backend.ts";
import { auditRows } from "../../support/ledger-audit.ts";
import { grant } from "../../support/operations.ts";
import { useTestApp } from "../../support/use-app.ts";

describe("a batch whose first write the database answers with a rollback", () => {
  const world = useTestApp({ available });
  const statement = (sql: string) => world.models.$executeRawUnsafe(sql);

  async function contents(userId: string) {
    const { credits } = await world.models.user.findUniqueOrThrow({ where: { id: userId } });
    const lots = await world.models.creditGrant.count({ where: { userId } });
    return { credits, lots, problems: await auditRows(world.models, { userId }) };
  }

  test.runIf(available.dialect === "sqlite")("is refused whole", async () => {
    const userId = await world.createUser();
    const paid = grant(userId, `payment:${userId}`, 50);
    const { database } = world.backend;
    await statement(
      "CREATE TRIGGER spoil BEFORE UPDATE ON users BEGIN SELECT RAISE(ROLLBACK, 'spoilt'); END",
    );
    const within = database.transaction((tx) => world.ledger.applyIn(tx, [paid]));
    await expect(within).rejects.toThrow("spoilt");
    await expect(world.ledger.submit(paid)).rejects.toThrow();
    expect(await contents(userId)).toEqual({ credits: 0, lots: 0, problems: [] });
    await statement("DROP TRIGGER spoil");
    await world.ledger.submit(paid);
    expect(await contents(userId)).toEqual({ credits: 50, lots: 1, problems: [] });
  });

  test.runIf(available.dialect === "mysql")("takes effect whole, with the next try", async () => {
    const userId = await world.createUser();
    const paid = grant(userId, `payment:${userId}`, 50);
    // What Galera does when another node committed first.
    await statement(`CREATE PROCEDURE rolled_back() BEGIN
      ROLLBACK; SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213; END`);
    let spoilt = 0;
    const spoiling = (tx: DatabaseTransaction): DatabaseTransaction => ({
      ...tx,
      sql: {
        ...tx.sql,
        async execute(sql, params) {
          if (spoilt === 0) {
            spoilt += 1;
            return tx.sql.execute("CALL rolled_back()", []);
          }
          // Prisma itself only keeps the order of what is sent in the same turn of the event loop.
          await nextTurn();
          return tx.sql.execute(sql, params);
        },
      },
    });
    const [result] = await world.backend.database.transaction((tx) =>
      world.ledger.applyIn(spoiling(tx), [paid]),
    );
    expect(spoilt).toBe(1);
    expect(result?.replayed).toBe(false);
    expect(await contents(userId)).toEqual({ credits: 50, lots: 1, problems: [] });
  });
});
