// A test's own Galera cluster of three nodes; each can be killed, isolated from the others, and brought back.
import { existsSync } from "node:fs";
import { freePort } from "./ports.ts";
import { debianMariadb, engineMissing, isInstalled } from "./engines/programs.ts";
import { createSqlServer, type SqlServer } from "./engines/sql-server.ts";
import { until } from "./until.ts";

const PROVIDER = [
  "/usr/lib/galera/libgalera_smm.so",
  "/usr/lib64/galera-4/libgalera_smm.so",
  "/usr/lib/galera-4/libgalera_smm.so",
].find(existsSync);

/** Evicts a dead node after 3 s: with Galera's defaults, that and the others' agreement may take more than 10 s. */
const EVICTION = "evs.suspect_timeout=PT3S;evs.inactive_timeout=PT10S;evs.install_timeout=PT5S";

/** Why no cluster can be started here; null if one can. */
export const galeraMissing =
  engineMissing("mariadb") ??
  (PROVIDER === undefined ? "Galera (galera-4) is not installed here" : null) ??
  (isInstalled("rsync") ? null : "rsync, which Galera copies nodes with, is not installed here") ??
  (isInstalled("lsof", "-v") || isInstalled("ss")
    ? null
    : "lsof, which Galera's rsync needs, is not installed here");

/** One node. */
export type GaleraNode = ReturnType<typeof nodeOf>;

/** Three synchronised nodes. */
export type GaleraCluster = Awaited<ReturnType<typeof startGaleraCluster>>;

/** Starts a cluster that evicts a node after 3 s without a sign of life. */
export async function startGaleraCluster() {
  const ports = await Promise.all(
    ["n1", "n2", "n3"].map(async (name) => ({
      name,
      client: await freePort(),
      group: await freePort(),
      increments: await freePort(),
      copies: await freePort(),
    })),
  );
  const members = ports.map(({ group }) => `127.0.0.1:${group}`).join(",");
  const servers = await Promise.all(
    ports.map(({ name, client, group, increments, copies }, index) =>
      createSqlServer({
        program: debianMariadb(),
        port: client,
        withTables: index === 0,
        settings: {
          wsrep_on: "ON",
          wsrep_provider: PROVIDER ?? "",
          wsrep_cluster_name: `skywork-${ports[0]?.group ?? ""}`,
          wsrep_cluster_address: `gcomm://${members}`,
          wsrep_node_name: name,
          wsrep_node_address: `127.0.0.1:${group}`,
          wsrep_provider_options: `"base_port=${group};gmcast.listen_addr=tcp://127.0.0.1:${group};ist.recv_addr=127.0.0.1:${increments};gcache.size=64M;${EVICTION}"`,
          wsrep_sst_method: "rsync",
          wsrep_sst_receive_address: `127.0.0.1:${copies}`,
          wsrep_slave_threads: 2,
          binlog_format: "ROW",
          innodb_autoinc_lock_mode: 2,
        },
      }),
    ),
  );
  const close = async () => void (await Promise.all(servers.map((server) => server.close())));
  const start = async (server: SqlServer, args: readonly string[] = []) => {
    await server.start(args);
    await untilHealthy(server);
  };
  try {
    const [first, ...others] = servers as [SqlServer, ...SqlServer[]];
    await start(first, ["--wsrep-new-cluster"]);
    // The third waits until the second has been copied from the first.
    await Promise.all(others.map((server) => start(server)));
  } catch (error) {
    await close();
    throw error;
  }
  return {
    nodes: servers.map((server, index) => nodeOf(ports[index]?.name ?? "", server)),
    /** Ends every process and removes the data. */
    close,
  };
}

function nodeOf(name: string, server: SqlServer) {
  const { port, url, kill, query } = server;
  const isolate = (value: 0 | 1) =>
    server.query(`SET GLOBAL wsrep_provider_options = 'gmcast.isolate=${value}'`);
  return {
    ...{ name, port, url, kill, query },
    /** What a proxy's health check asks: does it answer, is it in the primary component, and is it in sync? */
    isHealthy: () => isHealthy(server),
    /** Starts it after a kill. Resolves once it has caught up. */
    async rejoin() {
      // As systemd does: starting at the end of its log transfers only what it missed instead of copying a whole node.
      const output = await server.runOnce(["--wsrep-recover"]);
      const position = /Recovered position:\s*([0-9a-f-]+:-?\d+)/.exec(output)?.[1];
      await server.start(position === undefined ? [] : [`--wsrep_start_position=${position}`]);
      await untilHealthy(server);
    },
    /** Isolates the node from the others; clients can still reach it. */
    async cutOff() {
      await isolate(1);
    },
    /** Ends the isolation. Resolves once it has caught up. */
    async heal() {
      await isolate(0);
      await untilHealthy(server);
    },
  };
}

async function isHealthy(server: SqlServer): Promise<boolean> {
  try {
    const rows = await server.query<{ Variable_name: string; Value: string }>(
      "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_cluster_status', 'wsrep_local_state_comment')",
    );
    const status = new Map(rows.map((row) => [row.Variable_name, row.Value]));
    return (
      status.get("wsrep_ready") === "ON" &&
      status.get("wsrep_cluster_status") === "Primary" &&
      status.get("wsrep_local_state_comment") === "Synced"
    );
  } catch {
    return false;
  }
}

const untilHealthy = (server: SqlServer) =>
  until(() => isHealthy(server), {
    everyMs: 100,
    otherwise: () => `The Galera node at ${server.port} is not in step`,
  });
