// A database server of a test's own: data in a folder, a loopback port; it may be killed, frozen and started again.
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

/** One server; `start` after `kill` finds the data as the kill left it, at the same port. */
export type SqlServer = Awaited<ReturnType<typeof createSqlServer>>;

/** What a server is made of. */
export interface SqlServerOptions {
  readonly program: SqlProgram;
  readonly port: number;
  /** False where the directory stays empty (a Galera node fills it). */
  readonly withTables: boolean;
  /** Lines of the configuration beyond those of a single server. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** A folder that outlives this process, as the server then does; a temporary one unless given. */
  readonly lasting?: string;
}

/** Starts an empty server: durable commits, root without a password, and nothing of this machine's configuration. */
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

// A test run that ends without its `afterAll` takes its servers along.
const running = new Set<ChildProcess>();
const folders = new Set<string>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

/** A server with its data directory, not started. */
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
    /** For root, without a database. */
    url: `mysql://root@127.0.0.1:${port}/`,
    /** Starts it; resolves once it answers a statement, rejects with the end of its log. */
    async start(args: readonly string[] = []) {
      const started = spawn(executable, [...base, ...args], {
        ...program.identity,
        env: ENV,
        stdio: "ignore",
        detached: options.lasting !== undefined,
      });
      child = started;
      // Who started it need not outlive it: it ends with this process, or lasts on purpose.
      started.unref();
      if (options.lasting === undefined) {
        running.add(started);
        started.once("exit", () => running.delete(started));
      }
      await untilItAnswers(started, query, place.log);
    },
    /** kill -9, at once. The promise resolves when the process is gone. */
    kill,
    /** Stops it from answering without closing a connection. */
    freeze: () => void child?.kill("SIGSTOP"),
    thaw: () => void child?.kill("SIGCONT"),
    /** One statement as root over the socket; within a few seconds, or not at all. */
    query,
    /** Runs the program once beside the data and returns what it wrote: `--wsrep-recover`, say. */
    async runOnce(args: readonly string[]) {
      const output = join(place.folder, "once.log");
      const limits = { ...program.identity, env: ENV, timeout: START_WITHIN_MS };
      await promisify(execFile)(executable, [...base, `--log-error=${output}`, ...args], limits);
      return readFile(output, "utf8");
    },
    /** Ends the process and removes the data. */
    async close() {
      await kill();
      await rm(place.folder, { recursive: true, force: true, maxRetries: 3 });
      folders.delete(place.folder);
    },
  };
}

/** The folder with its configuration and data. */
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
    // Half a data directory would be taken for a whole one.
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
