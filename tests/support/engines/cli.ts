// Command-line tool that installs and starts engines, for CI and for trying things by hand. What it starts outlives it.
//   npx tsx tests/support/engines/cli.ts install ENGINE          needed once; a second call does nothing
//   npx tsx tests/support/engines/cli.ts start ENGINE [PORT]     prints the URL once it answers (loopback, no password)
//   npx tsx tests/support/engines/cli.ts stop ENGINE PORT        stops it and removes its data
// ENGINE: mysql, mariadb-11, valkey (fetched from Debian unstable into ENGINES_CACHE), mariadb, redis (installed here).
import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { installEngine } from "./install.ts";
import { startLastingKeyValueServer } from "../redis-server.ts";
import { isFree, freePort } from "../ports.ts";
import { sqlProgram } from "./programs.ts";
import { createSqlServer } from "./sql-server.ts";

const ENGINES = ["mysql", "mariadb", "mariadb-11", "valkey", "redis"] as const;
type Engine = (typeof ENGINES)[number];

const GONE_WITHIN_MS = 30_000;

// Not in the cache: a server running as another user may not be able to read this user's folders.
const folderOf = (engine: Engine, port: number): string =>
  join(tmpdir(), `skywork-engine-${engine}-${port}`);

async function install(engine: Engine): Promise<string> {
  if (engine === "mariadb" || engine === "redis") return `${engine} comes from this machine`;
  const { root } = await installEngine(engine);
  return readFileSync(join(root, "../version"), "utf8").trim();
}

async function start(engine: Engine, wanted: number): Promise<string> {
  const port = wanted === 0 ? await freePort() : wanted;
  if (!(await isFree(port))) throw new Error(`Port ${port} is taken: name another, or none.`);
  const lasting = folderOf(engine, port);
  if (engine === "valkey" || engine === "redis")
    return startLastingKeyValueServer(engine, port, lasting);
  const server = await createSqlServer({
    program: await sqlProgram(engine),
    port,
    withTables: true,
    lasting,
    // The suites kill only servers they start themselves, never this one, so it does not have to wait for the disk.
    settings: { innodb_flush_log_at_trx_commit: 2, sync_binlog: 0 },
  });
  await server.start();
  return server.url;
}

async function stop(engine: Engine, port: number): Promise<string> {
  const folder = folderOf(engine, port);
  const pid = Number(readFileSync(join(folder, "pid"), "utf8"));
  // Pids are reused: only kill a process whose command line identifies it as this server. Redis rewrites its own title.
  const isOurs = (): boolean => {
    try {
      const told = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      return told.includes(folder) || told.includes(`-server 127.0.0.1:${port}`);
    } catch {
      return false;
    }
  };
  if (isOurs()) process.kill(pid, "SIGTERM");
  for (const giveUpAtMs = Date.now() + GONE_WITHIN_MS; isOurs(); await sleep(50))
    if (Date.now() > giveUpAtMs) {
      process.kill(pid, "SIGKILL");
      break;
    }
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  return `stopped ${engine} on ${port}`;
}

const [command, name, port = "0"] = process.argv.slice(2);
const engine = ENGINES.find((known) => known === name);
const work = { install, start, stop }[command ?? ""];
if (engine === undefined || work === undefined || !/^\d+$/.test(port)) {
  process.stderr.write(`Usage: cli.ts install|start|stop ${ENGINES.join("|")} [PORT]\n`);
  process.exit(2);
}
try {
  process.stdout.write(`${await work(engine, Number(port))}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
