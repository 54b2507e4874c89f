// Fetches the engines that this machine's Debian does not ship: unpacked from unstable into a cache, not installed.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** An engine that is fetched from Debian unstable. */
export type FetchedEngine = "mysql" | "mariadb-11" | "valkey";

const PACKAGES: Readonly<Record<FetchedEngine, { package: string; program: string }>> = {
  mysql: { package: "mysql-server-core", program: "usr/sbin/mysqld" },
  "mariadb-11": { package: "mariadb-server-core", program: "usr/sbin/mariadbd" },
  valkey: { package: "valkey-server", program: "usr/bin/valkey-server" },
};

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const USUAL_MIRROR = "http://deb.debian.org/debian";
const APT_WITHIN_MS = 240_000;
const UNPACK_WITHIN_MS = 60_000;
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;
/** Dependencies of the packages' maintainer scripts, which are never run here. */
const NOT_UNPACKED =
  /^(perl|libperl|systemd_|adduser|passwd|login|debconf|base-passwd|libpam-modules|init-system)/;
/** Debian's library folder and dynamic loader, by processor architecture. */
const PROCESSORS: Readonly<Record<string, { libraries: string; loader: string }>> = {
  x64: { libraries: "x86_64-linux-gnu", loader: "lib64/ld-linux-x86-64.so.2" },
  arm64: { libraries: "aarch64-linux-gnu", loader: "lib/ld-linux-aarch64.so.1" },
};

/** An unpacked engine. */
export interface InstalledEngine {
  /** The folder that its packages were unpacked into. */
  readonly root: string;
  /** The executable and its leading arguments: it runs under the loader and the libraries it was fetched with. */
  readonly command: readonly [string, ...string[]];
}

/** Returns the folder for fetched engines: ENGINES_CACHE, or one in the user's cache, shared with fresh clones. */
export function engineCache(): string {
  const cache = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  return process.env["ENGINES_CACHE"] || join(cache, "skywork-engines");
}

/** Returns why `engine` cannot be provided here; null if it is cached or can be fetched. */
export function cannotFetch(engine: FetchedEngine): string | null {
  if (existsSync(join(engineCache(), engine))) return null;
  if (PROCESSORS[process.arch] === undefined || process.platform !== "linux")
    return `${engine} is fetched for Linux on x64 and arm64 only`;
  for (const path of ["/usr/bin/apt-get", "/usr/bin/dpkg-deb", KEYRING])
    if (!existsSync(path)) return `${engine} is fetched from Debian, and ${path} is missing here`;
  return null;
}

/**
 * Fetches `engine` (about 100 MB, ten seconds) unless it is cached. Safe to run in several processes simultaneously:
 * each unpacks into its own folder, and the first to finish moves it into place. Throws with the last lines of what
 * failed.
 */
export async function installEngine(engine: FetchedEngine): Promise<InstalledEngine> {
  const home = join(engineCache(), engine);
  if (existsSync(home)) return installedAt(engine, home);
  const reason = cannotFetch(engine);
  if (reason !== null) throw new Error(reason);
  await mkdir(engineCache(), { recursive: true });
  const work = await mkdtemp(join(engineCache(), `.${engine}-`));
  try {
    const root = join(work, "root");
    await unpack(await download(PACKAGES[engine].package, join(work, "apt")), root);
    const { command } = installedAt(engine, work);
    const { stdout } = await run([...command, "--version"], UNPACK_WITHIN_MS);
    await rm(join(work, "apt"), { recursive: true, force: true });
    await writeFile(join(work, "version"), stdout);
    // Another process was faster and has put the same engine there.
    await rename(work, home).catch((error: unknown) => {
      if (!existsSync(home)) throw error;
    });
  } catch (error) {
    throw new Error(`Cannot install ${engine} from Debian unstable: ${lastLines(error)}`, {
      cause: error,
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return installedAt(engine, home);
}

function installedAt(engine: FetchedEngine, home: string): InstalledEngine {
  const root = join(home, "root");
  const { libraries = "", loader = "" } = PROCESSORS[process.arch] ?? {};
  const folders = [
    `usr/lib/${libraries}`,
    "usr/lib/mysql/private",
    `usr/lib/${libraries}/systemd`,
  ].map((folder) => join(root, folder));
  const program = join(root, PACKAGES[engine].program);
  return { root, command: [join(root, loader), "--library-path", folders.join(":"), program] };
}

/** Downloads a package with its dependencies, using apt with private lists and state. Returns the files' paths. */
async function download(name: string, apt: string): Promise<string[]> {
  for (const folder of ["lists/partial", "cache/archives/partial"])
    await mkdir(join(apt, folder), { recursive: true });
  await writeFile(join(apt, "status"), "");
  const source = `deb [signed-by=${KEYRING}] ${await mirror()} sid main\n`;
  await writeFile(join(apt, "sources.list"), source);
  const settings = [
    `Dir::State=${apt}`,
    `Dir::State::status=${apt}/status`,
    `Dir::Cache=${apt}/cache`,
    `Dir::Etc::sourcelist=${apt}/sources.list`,
    "Dir::Etc::sourceparts=/nonexistent",
    "APT::Sandbox::User=root",
    // Nothing of the system is touched, so its lock (and with it root) is not needed.
    "Debug::NoLocking=1",
    "Acquire::Languages=none",
    "Acquire::Retries=3",
    "Acquire::http::Timeout=30",
    "Acquire::https::Timeout=30",
  ].flatMap((setting) => ["-o", setting]);
  const get = (...args: string[]) => run(["apt-get", ...settings, "-qq", ...args], APT_WITHIN_MS);
  await get("update", "--error-on=any");
  await get("install", "-y", "--no-install-recommends", "--download-only", name);
  const archives = join(apt, "cache/archives");
  const files = (await readdir(archives)).filter((file) => file.endsWith(".deb"));
  return files.filter((file) => !NOT_UNPACKED.test(file)).map((file) => join(archives, file));
}

/** Debian's newest packages expect a merged /usr, in which /lib is a symlink to /usr/lib. */
async function unpack(packages: readonly string[], root: string): Promise<void> {
  for (const merged of ["bin", "sbin", "lib", "lib64"]) {
    await mkdir(join(root, "usr", merged), { recursive: true });
    await symlink(`usr/${merged}`, join(root, merged));
  }
  const archive = join(root, "unpacking.tar");
  for (const file of packages) {
    const script = 'dpkg-deb --fsys-tarfile "$1" >"$2"';
    await run(["sh", "-c", script, "sh", file, archive], UNPACK_WITHIN_MS);
    const options = ["--keep-directory-symlink", "--no-same-owner"];
    await run(["tar", "-x", "-f", archive, "-C", root, ...options], UNPACK_WITHIN_MS);
  }
  await rm(archive, { force: true });
}

/** Returns the mirror this machine's apt uses: on an isolated machine it may be the only reachable one. */
async function mirror(): Promise<string> {
  const ask = ["apt-get", "indextargets", "--format", "$(REPO_URI)"];
  const { stdout } = await run(ask, APT_WITHIN_MS);
  return stdout.split("\n").find((uri) => uri.endsWith("/debian/")) ?? USUAL_MIRROR;
}

function run([file = "", ...args]: readonly string[], timeout: number) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" };
  return promisify(execFile)(file, args, { timeout, env, maxBuffer: MAX_OUTPUT_BYTES });
}

function lastLines(error: unknown): string {
  const { stderr = "" } = error as { stderr?: string };
  const text = stderr.trim() === "" ? String(error) : stderr.trim();
  return text.split("\n").slice(-8).join("\n");
}
