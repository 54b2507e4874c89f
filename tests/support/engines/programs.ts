// How to run each SQL engine: its command line, the user it runs as, and how its data directory is created.
import { execFile, spawnSync } from "node:child_process";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cannotFetch, installEngine } from "./install.ts";

/** `mariadb` is the one installed on this machine; the others are fetched. */
export type SqlEngine = "mysql" | "mariadb" | "mariadb-11";

/** The program of one engine. */
export interface SqlProgram {
  readonly engine: SqlEngine;
  /** The executable and the arguments that precede --defaults-file. */
  readonly command: readonly string[];
  /** The arguments that follow --defaults-file. */
  readonly args: readonly string[];
  /** Configuration this engine needs in addition to what every engine gets. */
  readonly settings: Readonly<Record<string, string | number>>;
  readonly identity: { readonly uid: number; readonly gid: number } | undefined;
  /** Populates a data directory that is missing or empty. Root has no password. */
  initialise(data: string): Promise<void>;
}

// Debian installs servers in directories that only root has on its PATH.
export const ENV = {
  ...process.env,
  PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/usr/local/sbin`,
};
const INITIALISED_WITHIN_MS = 90_000;

/** Whether `program` can be started on this machine. */
export function isInstalled(program: string, versionFlag = "--version"): boolean {
  return spawnSync(program, [versionFlag], { env: ENV, stdio: "ignore" }).error === undefined;
}

/** Returns why no server of `engine` can be started here; null if one can. */
export function engineMissing(engine: SqlEngine): string | null {
  if (engine !== "mariadb") return cannotFetch(engine);
  return isInstalled("mariadbd") && isInstalled("mariadb-install-db", "--help")
    ? null
    : "mariadbd is not installed here";
}

/** Returns the program of `engine`, fetching it first if necessary. Throws with the reason if it is unavailable. */
export async function sqlProgram(engine: SqlEngine): Promise<SqlProgram> {
  const missing = engineMissing(engine);
  if (missing !== null) throw new Error(missing);
  return engine === "mariadb" ? debianMariadb() : fetchedProgram(engine);
}

/** MariaDB as packaged by this machine's Debian. */
export function debianMariadb(): SqlProgram {
  // MariaDB refuses to run as root, and Galera's rsync drops root's privileges, so it runs as the package's own user.
  const identity = process.getuid?.() === 0 ? identityOf("mysql") : undefined;
  return {
    engine: "mariadb",
    command: ["mariadbd"],
    args: [],
    settings: {},
    identity,
    async initialise(data) {
      const args = [
        "--no-defaults",
        `--datadir=${data}`,
        "--skip-test-db",
        "--auth-root-authentication-method=normal",
      ];
      const options = { ...identity, env: ENV, timeout: INITIALISED_WITHIN_MS };
      await promisify(execFile)("mariadb-install-db", args, options);
    },
  };
}

async function fetchedProgram(engine: "mysql" | "mariadb-11"): Promise<SqlProgram> {
  const { root, command } = await installEngine(engine);
  const share = join(root, "usr/share", engine === "mysql" ? "mysql" : "mariadb");
  const args = [
    `--basedir=${root}/usr`,
    `--lc-messages-dir=${share}`,
    `--character-sets-dir=${share}/charsets`,
    `--plugin-dir=${root}/usr/lib/mysql/plugin`,
    // No user was created for it, and its data belongs to one test, on loopback: running as root is fine.
    ...(process.getuid?.() === 0 ? ["--user=root"] : []),
  ];
  const initialise = async (data: string): Promise<void> => {
    const base = [...command.slice(1), "--no-defaults", ...args, `--datadir=${data}`];
    if (engine === "mysql") return runToEnd(command[0], [...base, "--initialize-insecure"], "");
    await mkdir(join(data, "mysql"), { recursive: true });
    return runToEnd(command[0], [...base, "--bootstrap"], await mariadbTables(share));
  };
  // Off: MySQL's X Protocol would need another port.
  const settings: Readonly<Record<string, string>> =
    engine === "mysql" ? { mysqlx: "OFF", "secure-file-priv": "NULL" } : {};
  return { engine, command, args, settings, identity: undefined, initialise };
}

/** The SQL that mariadb-install-db feeds the server. The script itself is not used: it requires an installed system. */
async function mariadbTables(share: string): Promise<string> {
  const files = ["mariadb_system_tables.sql", "mariadb_system_tables_data.sql"];
  const scripts = await Promise.all(files.map((name) => readFile(join(share, name), "utf8")));
  const before = [
    "CREATE DATABASE IF NOT EXISTS mysql;",
    "USE mysql;",
    "SET @auth_root_socket=NULL;",
  ];
  return [...before, ...scripts].join("\n");
}

async function runToEnd(file: string, args: readonly string[], input: string): Promise<void> {
  const limits = { timeout: INITIALISED_WITHIN_MS, killSignal: "SIGKILL" } as const;
  const running = promisify(execFile)(file, args, limits);
  // A server that exits early stops reading its input; its exit code reports the failure.
  running.child.stdin?.on("error", () => undefined).end(input);
  await running;
}

function identityOf(user: string): { uid: number; gid: number } {
  const [uid, gid] = ["-u", "-g"].map((flag) =>
    Number(spawnSync("id", [flag, user], { encoding: "utf8" }).stdout || Number.NaN),
  ) as [number, number];
  return Number.isInteger(uid) && Number.isInteger(gid) ? { uid, gid } : { uid: 0, gid: 0 };
}
