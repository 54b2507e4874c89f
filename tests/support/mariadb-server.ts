// Owns a mariadbd of a test's own: data in a temporary directory, a free loopback port; it may be killed, frozen and started again.
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { chown, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { createConnection } from "mariadb";

// Debian keeps servers where only root looks by itself.
const ENV = { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/usr/local/sbin` };
// It refuses to run as root, and Galera's rsync gives root's rights away: there it runs as the package's own user.
const IDENTITY = process.getuid?.() === 0 ? identityOf("mysql") : undefined;
const START_WITHIN_MS = 90_000;

/** Whether this program can be started here. */
export function isInstalled(program: string, versionFlag = "--version"): boolean {
  return spawnSync(program, [versionFlag], { env: ENV, stdio: "ignore" }).error === undefined;
}

/** Why no MariaDB server can be started here; null where one can. */
export const mariadbMissing =
  isInstalled("mariadbd") && isInstalled("mariadb-install-db", "--help")
    ? null
    : "mariadbd is not installed here";

/** One server; `start` after `kill` finds the data as the kill left it, at the same port. */
export interface MariadbServer {
  readonly port: number;
  /** For root, without a database. */
  readonly url: string;
  /** The running process; undefined while there is none. */
  readonly pid: number | undefined;
  /** Starts it; resolves once it answers a statement, rejects with the end of its log. */
  start(args?: readonly string[]): Promise<void>;
  /** kill -9, at once. The promise resolves when the process is gone. */
  kill(): Promise<void>;
  /** Stops it from answering without closing a connection. */
  freeze(): void;
  thaw(): void;
  /** One statement as root over the socket; within a few seconds, or not at all. */
  query<Row>(sql: string): Promise<Row[]>;
  /** Runs the program once beside the data and answers what it wrote: `--wsrep-recover`, say. */
  runOnce(args: readonly string[]): Promise<string>;
  /** Ends the process and removes the data. */
  close(): Promise<void>;
}

/** Starts an empty server: durable commits, root without a password, and nothing of this machine's configuration. */
export async function startMariadbServer(): Promise<MariadbServer> {
  const server = await createMariadbServer({ port: await lastingPort(), withTables: true });
  try {
    await server.start();
  } catch (error) {
    await server.close();
    throw error;
  }
  return server;
}

// A test run that ends without its `afterAll` takes its servers along.
const running = new Set<ChildProcess>();
const folders = new Set<string>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

/** A server with its data directory, not started. Without `withTables` the directory is empty (a Galera node fills it). */
export async function createMariadbServer(options: {
  readonly port: number;
  readonly withTables: boolean;
  /** Lines of the configuration beyond those of a single server. */
  readonly settings?: Readonly<Record<string, string | number>>;
}): Promise<MariadbServer> {
  const { port } = options;
  const folder = await mkdtemp(join(tmpdir(), "skywork-mariadb-"));
  folders.add(folder);
  const [data, socket, log, file] = ["data", "sock", "error.log", "my.cnf"].map((name) =>
    join(folder, name),
  ) as [string, string, string, string];
  const settings = {
    ...{ datadir: data, socket, "pid-file": join(folder, "pid"), "log-error": log },
    ...{ "bind-address": "127.0.0.1", port, max_connections: 200 },
    ...{ innodb_flush_log_at_trx_commit: 1, innodb_buffer_pool_size: "128M" },
    ...options.settings,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  await writeFile(file, `[mysqld]\n${lines.join("\n")}\n`);
  await mkdir(data);
  for (const path of [folder, data])
    if (IDENTITY !== undefined) await chown(path, IDENTITY.uid, IDENTITY.gid);
  if (options.withTables) await install(data);

  let child: ChildProcess | undefined;

  async function query<Row>(sql: string): Promise<Row[]> {
    const connection = await createConnection({
      socketPath: socket,
      user: "root",
      connectTimeout: 2_000,
      socketTimeout: 5_000,
    });
    connection.on("error", () => undefined);
    try {
      return await connection.query<Row[]>(sql);
    } finally {
      connection.destroy();
    }
  }

  async function untilItAnswers(started: ChildProcess): Promise<void> {
    const giveUpAtMs = Date.now() + START_WITHIN_MS;
    while (started.exitCode === null && started.signalCode === null && Date.now() < giveUpAtMs) {
      const answered = await query("SELECT 1").then(
        () => true,
        () => false,
      );
      if (answered) return;
      await sleep(50);
    }
    const written = await readFile(log, "utf8").catch(() => "(no log)");
    throw new Error(`mariadbd does not answer:\n${written.split("\n").slice(-25).join("\n")}`);
  }

  async function kill(): Promise<void> {
    const killed = child;
    child = undefined;
    if (killed === undefined || killed.exitCode !== null || killed.signalCode !== null) return;
    const gone = once(killed, "exit");
    killed.kill("SIGKILL");
    await gone;
  }

  return {
    port,
    url: `mysql://root@127.0.0.1:${port}/`,
    get pid() {
      return child?.pid;
    },
    async start(args = []) {
      const started = spawn("mariadbd", [`--defaults-file=${file}`, ...args], {
        ...IDENTITY,
        env: ENV,
        stdio: "ignore",
      });
      child = started;
      running.add(started);
      started.once("exit", () => running.delete(started));
      await untilItAnswers(started);
    },
    kill,
    freeze: () => void child?.kill("SIGSTOP"),
    thaw: () => void child?.kill("SIGCONT"),
    query,
    async runOnce(args) {
      const output = join(folder, "once.log");
      await promisify(execFile)(
        "mariadbd",
        [`--defaults-file=${file}`, `--log-error=${output}`, ...args],
        { ...IDENTITY, env: ENV, timeout: START_WITHIN_MS },
      );
      return readFile(output, "utf8");
    },
    async close() {
      await kill();
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
      folders.delete(folder);
    },
  };
}

async function install(data: string): Promise<void> {
  const args = [
    "--no-defaults",
    `--datadir=${data}`,
    "--skip-test-db",
    "--auth-root-authentication-method=normal",
  ];
  const options = { ...IDENTITY, env: ENV, timeout: START_WITHIN_MS };
  await promisify(execFile)("mariadb-install-db", args, options);
}

function identityOf(user: string): { uid: number; gid: number } {
  const [uid, gid] = ["-u", "-g"].map((flag) =>
    Number(spawnSync("id", [flag, user], { encoding: "utf8" }).stdout || Number.NaN),
  ) as [number, number];
  return Number.isInteger(uid) && Number.isInteger(gid) ? { uid, gid } : { uid: 0, gid: 0 };
}

/**
 * A loopback port nobody listens on, below those that Linux gives to outgoing connections: while its server is down
 * nobody gets it by chance, so that the server can have it again.
 */
export async function lastingPort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    const probe = createServer();
    const free = await new Promise<boolean>((resolve) => {
      probe.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => probe.close(resolve));
    return port;
  }
  throw new Error("No loopback port is free");
}
