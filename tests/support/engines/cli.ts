// The engines' command for CI and for trying something by hand; what it starts outlives it:
//   npx tsx tests/support/engines/cli.ts install ENGINE          once; a second call does nothing
//   npx tsx tests/support/engines/cli.ts start ENGINE [PORT]     prints the URL when it answers (loopback, no password)
//   npx tsx tests/support/engines/cli.ts stop ENGINE PORT        ends it and removes its data
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

// Not in the cache: a server that runs as another user may not look into this user's folders.
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
    // What the suites kill is the server of the program, never this one: they need no disk to be waited for.
    settings: { innodb_flush_log_at_trx_commit: 2, sync_binlog: 0 },
  });
  await server.start();
  return server.url;
}

async function stop(engine: Engine, port: number): Promise<string> {
  const folder = folderOf(engine, port);
  const pid = Number(readFileSync(join(folder, "pid"), "utf8"));
  // A pid is used again sooner or later: only a process that says it is this server is ended. Redis renames itself.
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
