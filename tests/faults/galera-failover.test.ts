// Promise 10 on Galera: nodes are killed and isolated under load, behind a proxy that checks their health.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { SqlSession } from "../../server/database/ports.ts";
import { classifyDatabaseError } from "../../server/database/errors.ts";
import { auditFailover } from "../support/failover-audit.ts";
import { recoveryLine } from "../support/failover-load.ts";
import { atCommit, type FailoverWorld, openFailoverWorld } from "../support/failover-world.ts";
import {
  type GaleraCluster,
  type GaleraNode,
  galeraMissing,
  startGaleraCluster,
} from "../support/galera-cluster.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { openAt } from "../support/databases.ts";

const FULL = Boolean(process.env["FULL"]);
const KILLS = FULL ? 20 : 2;
const CUTS = FULL ? 10 : 1;
const STARTS = FULL ? 20 : 3;
const RECOVERS_WITHIN_MS = 10_000;
const CHECK_EVERY_MS = 200;
/** A check that takes longer has failed: an isolated node may not answer at all. */
const CHECK_WITHIN_MS = 1_000;

if (galeraMissing !== null) console.log(`Failover of Galera is not covered: ${galeraMissing}`);
test.runIf(galeraMissing !== null && process.env["CI"])("CI covers the failover of Galera", () => {
  expect(galeraMissing).toBeNull();
});

describe.runIf(galeraMissing === null)("Galera", () => {
  let cluster: GaleraCluster;
  beforeAll(async () => {
    cluster = await startGaleraCluster();
  });
  afterAll(() => cluster?.close());

  const openOn = ({ url }: GaleraNode, name = "skywork_direct") => openAt(`${url}${name}`);
  const insert = (id: string) => (sql: SqlSession) =>
    sql.execute("INSERT INTO users (id, email, updatedAt) VALUES (?, ?, ?)", [id, id, new Date()]);
  const failureOf = (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => Promise.reject(new Error("it should have failed")),
      (error: unknown) => error,
    );

  test("instances that start on different nodes migrate once, also where one died with the lock", async () => {
    const [first] = cluster.nodes;
    const openEverywhere = async (name: string) => {
      const opened = await Promise.allSettled(cluster.nodes.map((node) => openOn(node, name)));
      const backends = opened.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
      const plans = await Promise.all(backends.map(({ database }) => database.models.plan.count()));
      await Promise.all(backends.map((backend) => backend.close()));
      const reasons = opened.flatMap((one) =>
        one.status === "rejected" ? [String(one.reason)] : [],
      );
      expect(reasons).toEqual([]);
      expect(plans).toEqual([6, 6, 6]);
    };
    for (let start = 0; start < STARTS; start += 1) await openEverywhere(`skywork_start_${start}`);

    await first?.query(
      "INSERT INTO skywork_start_0._skywork_migration_lock VALUES ('migrate', 'dead', UTC_TIMESTAMP(3) - INTERVAL 1 SECOND)",
    );
    const startedAtMs = Date.now();
    await openEverywhere("skywork_start_0");
    // Half the time an instance waits for a lock that another one holds.
    expect(Date.now() - startedAtMs).toBeLessThan(60_000);
  });

  test("two nodes that change one row: the later COMMIT is a conflict, and runs again", async () => {
    const [one, other] = await Promise.all(cluster.nodes.slice(0, 2).map((node) => openOn(node)));
    if (one === undefined || other === undefined) throw new Error("There are three nodes.");
    try {
      await one.database.rawTransaction(insert("both"));
      const where = { id: "both" };
      await expect
        .poll(() => other.database.models.user.count({ where }), { timeout: 5_000 })
        .toBe(1);
      const add = (sql: SqlSession) =>
        sql.execute("UPDATE users SET credits = credits + 1 WHERE id = ?", ["both"]);

      const late = other.database.rawTransaction(async (sql) => {
        await add(sql);
        await one.database.rawTransaction(add);
      });
      expect(classifyDatabaseError(await failureOf(late))).toBe("conflict");

      let tries = 0;
      await other.database.transaction(async ({ sql }) => {
        await add(sql);
        tries += 1;
        if (tries === 1) await one.database.rawTransaction(add);
      });
      expect(tries).toBe(2);
      const row = await other.database.models.user.findUnique({ where });
      expect(row?.credits).toBe(3);
    } finally {
      await Promise.all([one.close(), other.close()]);
    }
  });

  /** Isolates `node` and checks what a back end experiences that is connected only to this node. */
  async function cutOffAndLook(node: GaleraNode): Promise<void> {
    const backend = await openOn(node);
    const { database } = backend;
    const id = randomUUID().slice(0, 8);
    try {
      await node.cutOff();
      const startedAtMs = Date.now();
      const raw = failureOf(database.rawTransaction(insert(`${id} 1`)));
      const mixed = await failureOf(database.transaction(({ sql }) => insert(`${id} 2`)(sql)));
      // COMMIT hangs for as long as the node waits for the others; callers do not wait that long.
      expect(Date.now() - startedAtMs).toBeLessThan(15_000);
      expect(mixed).toMatchObject({ code: "SERVICE_UNAVAILABLE" });
      expect([await raw, mixed].map(classifyDatabaseError)).toEqual([
        "unknownOutcome",
        "unknownOutcome",
      ]);
      const shapes = await Promise.all([
        failureOf(database.models.user.count()),
        failureOf(database.rawTransaction(insert(`${id} 3`))),
        failureOf(database.transaction(({ sql }) => insert(`${id} 3`)(sql))),
      ]);
      expect(shapes.map(classifyDatabaseError)).toEqual(["away", "away", "away"]);
      expect(await backend.check()).toMatchObject({ database: { status: "down" } });
    } finally {
      await backend.close();
    }
  }

  describe("behind a proxy", () => {
    let proxy: Awaited<ReturnType<typeof startGaleraProxy>>;
    let world: FailoverWorld;
    beforeAll(async () => {
      proxy = await startGaleraProxy(cluster);
      world = await openFailoverWorld(`mysql://root@127.0.0.1:${proxy.port}/skywork_failover`);
    });
    afterAll(async () => {
      await world?.close();
      await proxy?.close();
    });

    test(`${KILLS} nodes killed and ${CUTS} cut off: nothing acknowledged is lost, and the errors end`, {
      timeout: (KILLS + CUTS) * 90_000,
    }, async () => {
      const { load } = world;
      const recoveries = { kill: [] as number[], cut: [] as number[] };
      const returns: number[] = [];
      for (let round = 0; round < KILLS + CUTS; round += 1) {
        await load.flows(100);
        const how = round % 3 === 1 && recoveries.cut.length < CUTS ? "cut" : "kill";
        const victim = proxy.node;
        // Every other kill happens while a COMMIT is being replicated to the other nodes.
        const kill = () =>
          recoveries.kill.length % 2 === 0
            ? atCommit(proxy.conversation, "after", () => victim.kill())
            : victim.kill();
        const moved = () =>
          vi.waitFor(() => expect(proxy.node).not.toBe(victim), { timeout: 30_000, interval: 20 });
        const faultAtMs = Date.now();
        await Promise.all([how === "cut" ? cutOffAndLook(victim) : kill(), moved()]);
        recoveries[how].push(await load.recovery(faultAtMs, proxy.movedAtMs, RECOVERS_WITHIN_MS));
        const returnsAtMs = Date.now();
        await (how === "cut" ? victim.heal() : victim.rejoin());
        returns.push(await load.recovery(returnsAtMs, Date.now(), RECOVERS_WITHIN_MS));
        expect(world.complaints()).toEqual([]);
        expect(load.book.wrong).toEqual([]);
        expect((await fetch(`${world.server.url}/ready`)).status).toBe(200);
      }
      await load.stop();
      const [node] = cluster.nodes;
      const audit = await auditFailover(load, `${node?.url}skywork_failover`);
      console.log(recoveryLine("Galera node killed", recoveries.kill));
      console.log(recoveryLine("Galera node cut off", recoveries.cut));
      console.log(recoveryLine("Galera node back", returns));
      console.log(
        `${audit.acknowledged} spends acknowledged, ${audit.lost} of them lost; ${audit.inDoubt} in doubt, ${audit.inDoubtThere} of them there; ${load.refusals} refusals`,
      );
      expect(audit.broken).toEqual([]);
      expect(audit.acknowledged).toBeGreaterThan(100 * (KILLS + CUTS));
      expect(load.refusals).toBeGreaterThan(KILLS);
      expect(world.complaints()).toEqual([]);
    });
  });
});

/**
 * Plays the proxy between an application and a Galera cluster in production (HAProxy, MaxScale): one address that leads
 * to one healthy node at a time, initially the first. When that node becomes unhealthy, it moves on and cuts the
 * existing connections. It does not move back when the node recovers.
 */
async function startGaleraProxy(cluster: GaleraCluster) {
  const [first] = cluster.nodes;
  if (first === undefined) throw new Error("A cluster has nodes.");
  let node = first;
  let movedAtMs = Date.now();
  const proxy = await startTcpProxy("127.0.0.1", node.port);
  const stopping = new AbortController();

  async function follow(): Promise<void> {
    while (!stopping.signal.aborted) {
      if (!(await healthyInTime(node))) {
        const others = cluster.nodes.filter((other) => other !== node);
        const health = await Promise.all(others.map(healthyInTime));
        const next = others.find((_, index) => health[index]);
        if (next !== undefined) {
          node = next;
          movedAtMs = Date.now();
          proxy.moveTo(next.port);
        }
      }
      await sleep(CHECK_EVERY_MS);
    }
  }

  const following = follow();
  return {
    port: proxy.port,
    /** The node it currently leads to. */
    get node() {
      return node;
    },
    /** When it last moved, in terms of Date.now(). */
    get movedAtMs() {
      return movedAtMs;
    },
    /** The connections between application and node. */
    conversation: proxy,
    async close() {
      stopping.abort();
      await following;
      await proxy.close();
    },
  };
}

function healthyInTime(node: GaleraNode): Promise<boolean> {
  return Promise.race([node.isHealthy(), sleep(CHECK_WITHIN_MS, false)]);
}
