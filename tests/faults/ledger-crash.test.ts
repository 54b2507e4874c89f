// The ledger half of promise 9: repeated SIGKILL, in the middle of batches, of two processes on one database.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { auditWholeLedger } from "../../server/ledger/audit/audit.ts";
import { buildServer } from "../bench/built.ts";
import { available } from "../support/backend.ts";
import { auditRows } from "../support/ledger-audit.ts";
import { openTestApp, type TestApp } from "../support/server.ts";
import { createTestClock } from "../support/test-clock.ts";

const KILLS = process.env["FULL"] === "1" ? 200 : 5;
const CHILD = buildServer().file("tests/faults/ledger-crash.process");

/** What the children reported before they died. */
interface Told {
  readonly asked: Set<string>;
  readonly spent: Map<string, number>;
  readonly settled: Map<string, number>;
  readonly released: Set<string>;
  readonly granted: Set<string>;
  readonly broken: string[];
}

describe("kill -9", () => {
  let world: TestApp;
  const children = new Set<ChildProcess>();
  beforeAll(async () => {
    world = await openTestApp({ available, clock: createTestClock("stepping") });
  });
  afterAll(async () => {
    for (const child of children) child.kill("SIGKILL");
    await world.close();
  });

  /** Starts a process and waits until it is working. */
  async function start(users: readonly string[], told: Told): Promise<ChildProcess> {
    const { config, keyPrefix } = world.opened;
    const task = JSON.stringify({ config, keyPrefix, users });
    const child = spawn(process.execPath, [CHILD, task], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    children.add(child);
    child.once("exit", () => children.delete(child));
    const lines = createInterface({ input: child.stdout });
    const ready = new Promise<void>((resolve) => {
      lines.on("line", (line) => {
        const [word, id = "", , amount] = line.split(" ");
        if (word === "ready") resolve();
        if (word === "asked") told.asked.add(id);
        if (word === "spent") told.spent.set(id, Number(amount));
        if (word === "settled") told.settled.set(id, Number(amount));
        if (word === "released") told.released.add(id);
        if (word === "granted") told.granted.add(id);
        if (word === "broken") told.broken.push(id);
      });
    });
    await Promise.race([
      ready,
      once(child, "exit").then(() => Promise.reject(new Error("it died by itself"))),
    ]);
    return child;
  }

  async function kill(child: ChildProcess): Promise<void> {
    const closed = once(child, "close");
    child.kill("SIGKILL");
    await closed;
  }

  test(`${KILLS} kills: what was answered is there, what was not is there at most once`, {
    timeout: KILLS * 60_000,
  }, async () => {
    const users = await Promise.all(Array.from({ length: 12 }, () => world.createUser(100_000)));
    const told: Told = {
      asked: new Set(),
      spent: new Map(),
      settled: new Map(),
      released: new Set(),
      granted: new Set(),
      broken: [],
    };
    let survivor = await start(users, told);
    for (let kills = 0; kills < KILLS; kills += 1) {
      // The other process keeps working while this one dies and its successor starts.
      const next = await start(users, told);
      await sleep(30 + Math.random() * 250);
      await kill(survivor);
      survivor = next;
    }
    await kill(survivor);

    const { models } = world;
    expect(told.broken).toEqual([]);
    expect(told.spent.size).toBeGreaterThan(KILLS * 5);
    expect(await auditWholeLedger({ database: world.backend.database })).toEqual([]);
    expect(await auditRows(world.models, { cut: true })).toEqual([]);

    // A key's answer names the entry's seq. Everything acknowledged is there, and nothing that was not requested.
    const keys = await models.idempotencyKey.findMany({
      where: { userId: { in: users }, key: { startsWith: "user:" } },
    });
    const stored = new Set(keys.map(({ key }) => key));
    expect([...told.spent.keys()].filter((key) => !stored.has(key))).toEqual([]);
    expect([...stored].filter((key) => !told.asked.has(key))).toEqual([]);
    const spends = await models.creditLog.count({
      where: { userId: { in: users }, type: "USAGE", sourceId: null },
    });
    expect(spends).toBe(stored.size);

    const holds = new Map((await models.creditHold.findMany()).map((hold) => [hold.id, hold]));
    for (const [id, amount] of told.settled)
      expect(holds.get(id)).toMatchObject({ status: "SETTLED", settledAmount: amount });
    for (const id of told.released) expect(holds.get(id)?.status).toBe("RELEASED");
    const grants = new Set((await models.creditGrant.findMany()).map(({ grantKey }) => grantKey));
    expect([...told.granted].filter((key) => !grants.has(key))).toEqual([]);
  });
});
