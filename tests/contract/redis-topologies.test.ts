// The key-value side works on Redis Cluster and behind Sentinels, including a failover of each.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { KeyValues } from "../../server/kv/ports.ts";
import { openRedis } from "../../server/kv/redis/open.ts";
import type { RedisConfig } from "../../server/config/config.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { freePort } from "../support/ports.ts";
import { redisServerInstalled } from "../support/redis-server.ts";
import { uniqueKey } from "../support/databases.ts";
import { within } from "../support/own-time.ts";
import { silent } from "../support/silent.ts";

const options = { logger: silent, keyPrefix: "skywork_test_topology" };
const children: ChildProcess[] = [];
const folder = mkdtempSync(join(tmpdir(), "skywork-redis-"));

function start(port: number, settings: string, args: string[] = []): ChildProcess {
  const file = join(folder, `${port}.conf`);
  writeFileSync(file, `port ${port}\nbind 127.0.0.1\ndir ${folder}\nsave ""\n${settings}\n`);
  const child = spawn("redis-server", [file, ...args], { stdio: "ignore" });
  children.push(child);
  return child;
}

const cli = (port: number, ...args: string[]) =>
  execFileSync("redis-cli", ["-h", "127.0.0.1", "-p", String(port), ...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });

/**
 * Waits until a command's output contains `text`; also usable outside of tests, where expect.poll is not. A Sentinel
 * that was suspended for two seconds distrusts its clock for thirty, and starts no failover meanwhile.
 */
const answers = (text: string, port: number, ...args: string[]) =>
  vi.waitFor(() => expect(cli(port, ...args)).toContain(text), { timeout: 45_000, interval: 100 });

afterAll(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }
  rmSync(folder, { recursive: true, force: true });
});

/** Uses the whole interface once, with keys that live on different nodes. */
async function useEverything(store: KeyValues): Promise<void> {
  const keys = Array.from({ length: 8 }, uniqueKey);
  // After an outage the cache may drop writes, and is not trusted for two seconds.
  const writeAndRead = async () => {
    await Promise.all(keys.map((key) => store.cache.set(key, key, 60)));
    return Promise.all(keys.map((key) => store.cache.get(key)));
  };
  await expect.poll(writeAndRead, { timeout: 30_000, interval: 250 }).toEqual(keys);
  await store.cache.delete(...keys);
  expect(await store.cache.get(keys[0] ?? "")).toBeUndefined();

  const first = await store.locks.acquire(keys.slice(0, 4), 10_000);
  const second = await store.locks.acquire(keys, 10_000);
  expect([first.acquired.size, second.acquired.size]).toEqual([4, 4]);
  await Promise.all([first.release(), second.release()]);
  expect((await store.locks.acquire(keys, 1_000)).acquired.size).toBe(8);

  const limiter = store.limiter({ name: "topology", points: 2, windowMs: 60_000 });
  const asked = await Promise.all([1, 2, 3].map(() => limiter.consume(keys[0] ?? "")));
  expect(asked.filter(({ allowed }) => allowed)).toHaveLength(2);

  const heard: string[] = [];
  await store.pubsub.subscribe(keys[0] ?? "", (message) => heard.push(message));
  // Only current subscribers receive messages, and just after a failover the connection may not be subscribed yet.
  const say = async () => {
    await store.pubsub.publish(keys[0] ?? "", "hello");
    expect(heard).toContain("hello");
  };
  await vi.waitFor(say, { timeout: 10_000, interval: 100 });
}

describe.runIf(redisServerInstalled)("Redis Cluster", () => {
  test("everything works over keys of several nodes", { timeout: 300_000 }, async () => {
    const ports = [await freePort(), await freePort()];
    // By default the bus port is 10,000 above the port, which may not be a valid port at all.
    const buses = [await freePort(), await freePort()];
    for (const [index, port] of ports.entries()) {
      start(
        port,
        `cluster-enabled yes\ncluster-config-file nodes-${port}.conf\ncluster-port ${buses[index]}`,
      );
    }
    for (const port of ports) await answers("PONG", port, "ping");
    const [a = 0, b = 0] = ports;
    cli(a, "cluster", "addslotsrange", "0", "8191");
    cli(b, "cluster", "addslotsrange", "8192", "16383");
    cli(a, "cluster", "meet", "127.0.0.1", String(b), String(buses[1]));
    for (const port of ports) {
      await answers("cluster_state:ok", port, "cluster", "info");
    }
    const config: RedisConfig = {
      kind: "cluster",
      nodes: ports.map((port) => ({ host: "127.0.0.1", port })),
    };
    const store = await openRedis(config, options);
    await expect.poll(() => store.check(), { timeout: 30_000 }).toEqual({ status: "up" });
    await useEverything(store);
    await store.close();
  });
});

describe.runIf(redisServerInstalled)("Redis Cluster with a replica", () => {
  test("works again once the cluster has replaced a master that fell silent", {
    timeout: 300_000,
  }, async () => {
    const ports = [await freePort(), await freePort(), await freePort(), await freePort()];
    const buses = [await freePort(), await freePort(), await freePort(), await freePort()];
    const [a = 0, b = 0, c = 0, replica = 0] = ports;
    const processes = new Map(
      ports.map((port, index) => {
        const settings = [
          "cluster-enabled yes",
          `cluster-config-file nodes-${port}.conf`,
          `cluster-port ${buses[index]}`,
          "cluster-node-timeout 1000",
          "cluster-replica-validity-factor 0",
          "repl-diskless-sync-delay 0",
        ];
        return [port, start(port, settings.join("\n"))];
      }),
    );
    for (const port of ports) await answers("PONG", port, "ping");
    cli(a, "cluster", "addslotsrange", "0", "5460");
    cli(b, "cluster", "addslotsrange", "5461", "10922");
    cli(c, "cluster", "addslotsrange", "10923", "16383");
    // As `redis-cli --cluster create` does: equal epochs are only resolved between pairs later, and a replica that has
    // not learned of its master's new epoch when the master goes silent never gets a vote ("slot epoch > reqEpoch").
    for (const [index, port] of ports.entries())
      cli(port, "cluster", "set-config-epoch", String(index + 1));
    for (const [index, port] of ports.entries())
      if (port !== a) cli(a, "cluster", "meet", "127.0.0.1", String(port), String(buses[index]));
    const idOfA = cli(a, "cluster", "myid").trim();
    await answers(idOfA, replica, "cluster", "nodes");
    cli(replica, "cluster", "replicate", idOfA);
    for (const port of ports) await answers("cluster_state:ok", port, "cluster", "info");
    await answers("master_link_status:up", replica, "info", "replication");
    // All of them must know it as a replica, or it gets no votes.
    for (const port of [b, c]) await answers(`slave ${idOfA}`, port, "cluster", "nodes");
    const nodes = ports.map((port) => ({ host: "127.0.0.1", port }));
    const store = await openRedis({ kind: "cluster", nodes }, options);
    try {
      await expect.poll(() => store.check(), { timeout: 30_000 }).toEqual({ status: "up" });
      await useEverything(store);
      processes.get(a)?.kill("SIGSTOP");
      // Keys on every node, so that some commands hit the frozen one.
      for (let n = 0; n < 12; n += 1) await store.cache.set(uniqueKey(), "x", 60);
      await answers("role:master", replica, "info", "replication");
      await expect.poll(() => store.check(), { timeout: 60_000 }).toEqual({ status: "up" });
      await useEverything(store);
    } finally {
      await store.close();
      processes.get(a)?.kill("SIGCONT");
    }
  });
});

describe.runIf(redisServerInstalled)("Redis behind Sentinels", () => {
  let ports: { master: number; replica: number; sentinel: number };
  let master: ChildProcess;
  let replica: ChildProcess;
  let store: KeyValues;
  let sentinel: TcpProxy;

  beforeAll(async () => {
    ports = { master: await freePort(), replica: await freePort(), sentinel: await freePort() };
    master = start(ports.master, "");
    replica = start(
      ports.replica,
      `replicaof 127.0.0.1 ${ports.master}\nrepl-diskless-sync-delay 0`,
    );
    await answers("PONG", ports.master, "ping");
    await answers("PONG", ports.replica, "ping");
    await answers("master_link_status:up", ports.replica, "info", "replication");
    const settings = [
      `sentinel monitor house 127.0.0.1 ${ports.master} 1`,
      "sentinel down-after-milliseconds house 1000",
      "sentinel failover-timeout house 5000",
    ];
    start(ports.sentinel, settings.join("\n"), ["--sentinel"]);
    await answers("PONG", ports.sentinel, "ping");
    await answers(String(ports.replica), ports.sentinel, "sentinel", "replicas", "house");
    sentinel = await startTcpProxy("127.0.0.1", ports.sentinel);
    const sentinels = [{ host: "127.0.0.1", port: sentinel.port }];
    store = await openRedis({ kind: "sentinel", sentinels, name: "house" }, options);
  });
  afterAll(async () => {
    await store.close();
    await sentinel.close();
  });

  /**
   * Repeated until it succeeds: it is refused until the Sentinel knows the replica's state (NOGOODSLAVE), and aborted
   * if the replica takes longer than `failover-timeout` to be promoted, as on a busy machine.
   */
  function failOver(): void {
    const known = cli(ports.sentinel, "sentinel", "get-master-addr-by-name", "house");
    if (known.includes(String(ports.replica))) return;
    throw new Error(cli(ports.sentinel, "sentinel", "failover", "house"));
  }

  test("everything works after a failover that was told while the master was looked for", {
    timeout: 300_000,
  }, async () => {
    await expect.poll(() => store.check(), { timeout: 30_000 }).toEqual({ status: "up" });
    sentinel.hold();
    try {
      cli(ports.master, "client", "kill", "type", "normal");
      cli(ports.master, "client", "kill", "type", "pubsub");
      await vi.waitFor(failOver, { timeout: 90_000, interval: 500 });
      await answers("role:slave", ports.master, "info", "replication");
    } finally {
      sentinel.letGo();
    }
    await expect.poll(() => store.check(), { timeout: 60_000 }).toEqual({ status: "up" });
    await useEverything(store);
    [ports.master, ports.replica] = [ports.replica, ports.master];
    [master, replica] = [replica, master];
  });

  test("everything works on the master, and again on its successor once it was killed", {
    timeout: 300_000,
  }, async () => {
    await expect.poll(() => store.check(), { timeout: 30_000 }).toEqual({ status: "up" });
    await useEverything(store);
    master.kill("SIGKILL");
    await within(10_000, () => store.cache.set(uniqueKey(), "lost", 10));
    const key = uniqueKey();
    await expect
      .poll(() => store.cache.setIfAbsent(key, "on the successor", 60), {
        timeout: 60_000,
        interval: 250,
      })
      .toBe(true);
    expect(cli(ports.replica, "get", `${options.keyPrefix}:${key}`).trim()).toBe(
      "on the successor",
    );
    await useEverything(store);
  });
});
