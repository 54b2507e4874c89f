// The lock under which one instance migrates MySQL, MariaDB or Galera while the others wait.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Connection } from "mariadb";
import { retryConflicts } from "../errors.ts";

/** A lock held by this instance. */
export interface MigrationLock {
  /**
   * Renews the lock. Call it before each statement and again before recording it. Throws when another instance has
   * taken over.
   */
  keep(): Promise<void>;
  release(): Promise<void>;
}

const WAIT_SECONDS = 120;
const CHECK_EVERY_MS = 250;

/** Takes the lock, waiting for up to two minutes. */
export async function takeMigrationLock(connection: Connection): Promise<MigrationLock> {
  const [galera]: { Value: string }[] = await connection.query("SHOW VARIABLES LIKE 'wsrep_on'");
  return galera?.Value === "ON" ? takeRow(connection) : takeName(connection);
}

function tooLong(): Error {
  return new Error(
    `Another instance has been migrating this database for more than ${WAIT_SECONDS} s. Wait for it, or end its connection, and start again.`,
  );
}

/**
 * GET_LOCK's lock ends with the connection. Its name contains a digest of the database's name, because names of more
 * than 64 characters are rejected. SHA2, because MySQL 9.6 moved MD5 and SHA1 into a component that is not installed by
 * default.
 */
async function takeName(connection: Connection): Promise<MigrationLock> {
  const name = "CONCAT('skywork_migrate:', LEFT(SHA2(DATABASE(), 256), 32))";
  const rows: { taken: number | null }[] = await connection.query(
    `SELECT GET_LOCK(${name}, ?) AS taken`,
    [WAIT_SECONDS],
  );
  if (Number(rows[0]?.taken) !== 1) throw tooLong();
  return {
    keep: () => Promise.resolve(),
    async release() {
      await connection.query(`SELECT RELEASE_LOCK(${name})`).catch(() => {});
    },
  };
}

// A Galera node knows only its own GET_LOCKs (and Percona's rejects them). There the lock is a row that expires: of two
// nodes that take it simultaneously, one fails at COMMIT.
export const LOCK_TABLE = `CREATE TABLE IF NOT EXISTS _skywork_migration_lock (
    name      VARCHAR(20) PRIMARY KEY NOT NULL,
    holder    VARCHAR(36) NOT NULL,
    expiresAt DATETIME(3) NOT NULL
) ENGINE InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`;
const TERM = "UTC_TIMESTAMP(3) + INTERVAL 60 SECOND";
// Assignments run from left to right: the second one sees whether the first took the lock.
export const TAKE_LOCK = `INSERT INTO _skywork_migration_lock (name, holder, expiresAt) VALUES ('migrate', ?, ${TERM})
  ON DUPLICATE KEY UPDATE holder = IF(expiresAt < UTC_TIMESTAMP(3), VALUES(holder), holder),
    expiresAt = IF(holder = VALUES(holder), VALUES(expiresAt), expiresAt)`;

async function takeRow(connection: Connection): Promise<MigrationLock> {
  await connection.query(LOCK_TABLE);
  const holder = randomUUID();
  const take = async () => {
    await retryConflicts(() => connection.query(TAKE_LOCK, [holder]));
    const rows: unknown[] = await connection.query(
      "SELECT 1 FROM _skywork_migration_lock WHERE holder = ?",
      [holder],
    );
    return rows.length === 1;
  };
  const giveUpAtMs = performance.now() + WAIT_SECONDS * 1000;
  while (!(await take())) {
    if (performance.now() > giveUpAtMs) throw tooLong();
    await sleep(CHECK_EVERY_MS);
  }
  return {
    async keep() {
      // A statement that outlasts the term blocks the whole cluster, and when it ends a waiting instance may take the
      // expired lock before we renew it.
      if (!(await take())) throw new Error("Another instance goes on with this migration.");
    },
    async release() {
      const sql = "DELETE FROM _skywork_migration_lock WHERE holder = ?";
      await retryConflicts(() => connection.query(sql, [holder])).catch(() => {});
    },
  };
}
