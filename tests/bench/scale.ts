// The rows about growth: many rows against few, two instances against one.
import { setTimeout as sleep } from "node:timers/promises";
import { buildServer } from "./built.ts";
import { startChild } from "./child.ts";
import type { InstanceTask } from "./instance.process.ts";
import { closedLoop, inTurns, type Measured } from "./load.ts";
import type { Report } from "./report.ts";
import { benchWorkers } from "./workers.ts";
import {
  createBenchEnvironment,
  createUsers,
  IN_FLIGHT,
  type Instance,
  openInstance,
  spendOf,
} from "./world.ts";

const USERS = 1_000;
const FEW_ROWS = 10_000;
const MANY_ROWS = process.env["FULL"] === "1" ? 10_000_000 : 1_000_000;
const FEW_DIRTY_PAGES = 500;
const MAX_WRITE_BACK_SECONDS = 60;

/** Measures scale.rows, scale.instances and scale.workers. */
export async function benchScale(report: Report, seconds: number): Promise<void> {
  await rows(report, seconds);
  await instances(report, seconds);
  await benchWorkers(report, seconds);
}

/** Gives every user an equal share of `total` entries, as the ledger would write them, starting with the sign-up. */
async function fill({ backend }: Instance, total: number): Promise<void> {
  const perUser = Math.floor(total / USERS);
  const { models } = backend.database;
  const users = await models.user.findMany({ select: { id: true }, orderBy: { id: "asc" } });
  await models.creditLog.deleteMany();
  const seqs = JSON.stringify(Array.from({ length: perUser }, (_, index) => index + 1));
  const chunk = Math.max(1, Math.floor(200_000 / perUser));
  for (let from = 0; from < users.length; from += chunk) {
    const ids = users.slice(from, from + chunk).map(({ id }) => `'${id}'`);
    await backend.database.rawTransaction((session) =>
      session.execute(
        `INSERT INTO credit_logs (userId, seq, id, amount, balance, type, feature, lots, priceVersion, createdAt)
         SELECT u.id, s.seq, UUID(), CASE WHEN s.seq = 1 THEN 1000000000 ELSE -1 END, 1000000001 - s.seq,
           CASE WHEN s.seq = 1 THEN 'SIGNUP' ELSE 'USAGE' END, 'chat-flash',
           CONCAT('[["', UUID(), '",1]]'), 'bench', NOW(3)
         FROM users u JOIN JSON_TABLE(?, '$[*]' COLUMNS (seq INT PATH '$')) s WHERE u.id IN (${ids.join(", ")})`,
        [seqs],
      ),
    );
  }
  const credits = 1_000_000_001 - perUser;
  await models.user.updateMany({ data: { credits, ledgerSeq: perUser } });
  await models.creditGrant.updateMany({ data: { remaining: credits } });
  await writtenBack(models);
}

/** Waits until the server has flushed the filled pages to disk, because steady states are compared. */
async function writtenBack(models: Instance["backend"]["database"]["models"]): Promise<void> {
  for (let waited = 0; waited < MAX_WRITE_BACK_SECONDS; waited += 1) {
    const [dirty] = await models.$queryRawUnsafe<{ Value: string }[]>(
      "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'",
    );
    if (Number(dirty?.Value) < FEW_DIRTY_PAGES) return;
    await sleep(1_000);
  }
}

async function rows(report: Report, seconds: number): Promise<void> {
  const few = await openFilled(FEW_ROWS);
  const many = await openFilled(MANY_ROWS);
  if (few === null || many === null) return report.say("scale: no MySQL or MariaDB answers here");
  try {
    // Warms up.
    for (const { spends } of [few, many]) await spends(seconds);
    const [base, mine] = await inTurns(
      () => few.spends(seconds),
      () => many.spends(seconds),
    );
    report.add("scale.rows.few", base, null, `${FEW_ROWS} log rows`);
    report.add(
      "scale.rows",
      mine,
      mine.p50Ms / base.p50Ms,
      `${MANY_ROWS} log rows; latency, less is better`,
    );
  } finally {
    await few.close();
    await many.close();
  }
}

/** Opens an instance whose users have `total` entries between them. Null if no MySQL or MariaDB is available. */
async function openFilled(total: number) {
  const place = await createBenchEnvironment("mysql");
  if (place === null) return null;
  const instance = await openInstance(place);
  const users = await createUsers(instance, USERS);
  await fill(instance, total);
  const work = () =>
    instance.ledger.submit(spendOf(users[Math.floor(Math.random() * USERS)] ?? ""));
  return {
    spends: (seconds: number) => closedLoop({ inFlight: IN_FLIGHT, seconds, work }),
    close: async () => {
      await instance.close();
      await place.drop();
    },
  };
}

async function instances(report: Report, seconds: number): Promise<void> {
  const place = await createBenchEnvironment("mysql");
  if (place === null) return;
  const built = buildServer();
  const file = built.file("tests/bench/instance.process");
  const instance = await openInstance(place);
  try {
    const users = await createUsers(instance, USERS);
    const half = USERS / 2;
    const base = { place, inFlight: IN_FLIGHT, seconds };
    const one = await together(file, [{ ...base, users }]);
    const two = await together(file, [
      { ...base, users: users.slice(0, half) },
      { ...base, users: users.slice(half) },
    ]);
    report.add("scale.instances.one", one, null);
    report.add("scale.instances", two, two.opsPerSecond / one.opsPerSecond, "disjoint users");
    const hot = { ...base, users: users.slice(0, 1) };
    const oneHot = await together(file, [hot]);
    const twoHot = await together(file, [hot, hot]);
    report.add("scale.instances.hot.one", oneHot, null);
    report.add(
      "scale.instances.hot",
      twoHot,
      twoHot.opsPerSecond / oneHot.opsPerSecond,
      "one user",
    );
  } finally {
    await instance.close();
    built.drop();
    await place.drop();
  }
}

/** Runs the tasks in separate processes simultaneously; speeds are added, and the slower latencies count. */
async function together(file: string, tasks: readonly InstanceTask[]): Promise<Measured> {
  const children = await Promise.all(
    tasks.map(async (task) => {
      const child = startChild(file);
      await child.ask<"ready">(task);
      return child;
    }),
  );
  const answers = await Promise.all(children.map((child) => child.ask<Measured>("go")));
  await Promise.all(children.map((child) => child.stop()));
  return {
    operations: answers.reduce((sum, { operations }) => sum + operations, 0),
    opsPerSecond: answers.reduce((sum, { opsPerSecond }) => sum + opsPerSecond, 0),
    p50Ms: Math.max(...answers.map(({ p50Ms }) => p50Ms)),
    p99Ms: Math.max(...answers.map(({ p99Ms }) => p99Ms)),
  };
}
