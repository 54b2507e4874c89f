// A test's own database server: data in a folder, a loopback port. It can be killed, frozen and restarted.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { chown, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createConnection } from "mariadb";
import { freePort } from "../ports.ts";
import { until } from "../until.ts";
import { ENV, type SqlEngine, type SqlProgram, sqlProgram } from "./programs.ts";

const START_WITHIN_MS = 90_000;
const LAST_LINES = 25;

/** A server. `start` after `kill` finds the data as the kill left it, on the same port. */
export type SqlServer = Awaited<ReturnType<typeof createSqlServer>>;

/** Options of `createSqlServer`. */
export interface SqlServerOptions {
  readonly program: SqlProgram;
  readonly port: number;
  /** False if the data directory is to stay empty (a Galera node fills it). */
  readonly withTables: boolean;
  /** Configuration in addition to that of a single server. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** A folder that outlives this process, as does the server. Defaults to a temporary folder. */
  readonly lasting?: string;
}

/** Starts an empty server: durable commits, root without a password, none of this machine's configuration. */
export async function startSqlServer(engine: SqlEngine): Promise<SqlServer> {
  const program = await sqlProgram(engine);
  const server = await createSqlServer({ program, port: await freePort(), withTables: true });
  try {
    await server.start();
  } catch (error) {
    await server.close();
    throw error;
  }
  return server;
}

// If a test run ends without reaching its `afterAll`, its servers are killed with it.
const running = new Set<ChildProcess>();
const folders = new Set<string>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

/** Creates a server with its data directory but does not start it. */
export async function createSqlServer(options: SqlServerOptions) {
  const { port, program } = options;
  const place = await makePlace(options);
  const [executable = "", ...before] = program.command;
  const base = [...before, `--defaults-file=${place.file}`, ...program.args];
  const query = <Row>(sql: string): Promise<Row[]> => ask<Row>(place.socket, sql);
  let child: ChildProcess | undefined;

  async function kill(): Promise<void> {
    const killed = child;
    child = undefined;
    if (killed === undefined || killed.exitCode !== null || killed.signalCode !== null) return;
    const gone = once(killed, "exit");
    killed.ref();
    killed.kill("SIGKILL");
    await gone;
  }

  return {
    port,
    /** For root, without a database name. */
    url: `mysql://root@127.0.0.1:${port}/`,
    /** Starts it. Resolves once it answers a statement; rejects with the end of its log. */
    async start(args: readonly string[] = []) {
      const started = spawn(executable, [...base, ...args], {
        ...program.identity,
        env: ENV,
        stdio: "ignore",
        detached: options.lasting !== undefined,
      });
      child = started;
      // Do not keep this process alive for the server: it is killed on exit, or outlives this process on purpose.
      started.unref();
      if (options.lasting === undefined) {
        running.add(started);
        started.once("exit", () => running.delete(started));
      }
      await untilItAnswers(started, query, place.log);
    },
    /** Sends SIGKILL immediately. Resolves when the process is gone. */
    kill,
    /** Stops it from responding without closing any connection. */
    freeze: () => void child?.kill("SIGSTOP"),
    thaw: () => void child?.kill("SIGCONT"),
    /** Runs one statement as root over the socket; rejects if it takes more than a few seconds. */
    query,
    /** Runs the program once on the data and returns its log, for example with `--wsrep-recover`. */
    async runOnce(args: readonly string[]) {
      const output = join(place.folder, "once.log");
      const limits = { ...program.identity, env: ENV, timeout: START_WITHIN_MS };
      await promisify(execFile)(executable, [...base, `--log-error=${output}`, ...args], limits);
      return readFile(output, "utf8");
    },
    /** Kills the process and removes the data. */
    async close() {
      await kill();
      await rm(place.folder, { recursive: true, force: true, maxRetries: 3 });
      folders.delete(place.folder);
    },
  };
}

/** Creates the folder with its configuration and data. */
async function makePlace(options: SqlServerOptions) {
  const { program, port, lasting } = options;
  const folder = lasting ?? (await mkdtemp(join(tmpdir(), `skywork-${program.engine}-`)));
  if (lasting === undefined) folders.add(folder);
  else await mkdir(folder, { recursive: true });
  const [data, socket, log, file] = ["data", "sock", "error.log", "my.cnf"].map((name) =>
    join(folder, name),
  ) as [string, string, string, string];
  const settings = {
    ...{ datadir: data, socket, "pid-file": join(folder, "pid"), "log-error": log },
    ...{ "bind-address": "127.0.0.1", port, max_connections: 200 },
    ...{ innodb_flush_log_at_trx_commit: 1, innodb_buffer_pool_size: "128M" },
    ...program.settings,
    ...options.settings,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  await writeFile(file, `[mysqld]\n${lines.join("\n")}\n`);
  const isNew = !existsSync(data);
  if (isNew) await mkdir(data);
  if (program.identity !== undefined)
    for (const path of [folder, data])
      await chown(path, program.identity.uid, program.identity.gid);
  try {
    if (isNew && options.withTables) await program.initialise(data);
  } catch (error) {
    // A partially initialised data directory would be mistaken for a complete one.
    await rm(data, { recursive: true, force: true });
    throw error;
  }
  return { folder, file, socket, log };
}

async function ask<Row>(socketPath: string, sql: string): Promise<Row[]> {
  const connection = await createConnection({
    socketPath,
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

async function untilItAnswers(
  started: ChildProcess,
  query: (sql: string) => Promise<unknown>,
  log: string,
): Promise<void> {
  let failure: Error | undefined;
  started.once("error", (error) => (failure = error));
  const answers = () => {
    if (failure !== undefined) throw failure;
    if (started.exitCode !== null || started.signalCode !== null) throw new Error("It ended.");
    return query("SELECT 1").then(
      () => true,
      () => false,
    );
  };
  await until(answers, { withinMs: START_WITHIN_MS }).catch(async (cause: unknown) => {
    started.kill("SIGKILL");
    const written = await readFile(log, "utf8").catch(() => "(no log)");
    const told = written.split("\n").slice(-LAST_LINES).join("\n");
    throw new Error(`The database server does not answer:\n${told}`, { cause });
  });
}
