// A second process that holds SQLite's write lock. Arguments: path, duration of each lock in ms, number of times. With
// the duration `told` it holds the lock until standard input ends.
import { once } from "node:events";
import Libsql from "libsql";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const [path, holdMs, times] = process.argv.slice(2);
const database = new Libsql(path);
database.exec("PRAGMA busy_timeout = 10000");
database.exec("CREATE TABLE IF NOT EXISTS locker (n INTEGER)");
for (let round = 0; round < Number(times); round += 1) {
  database.exec("BEGIN IMMEDIATE");
  database.exec(`INSERT INTO locker VALUES (${round})`);
  if (round === 0) process.stdout.write("locked\n");
  if (holdMs === "told") await once(process.stdin.resume(), "end");
  else await pause(Number(holdMs));
  database.exec("COMMIT");
  await pause(5);
}
database.close();
