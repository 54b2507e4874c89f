// The smoke test of production: a clean copy is installed, built, pruned and started against every database server of
// TEST_DATABASE_URL with Redis, and on SQLite with every supported Node.js.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const copy = mkdtempSync(join(tmpdir(), "skywork-production-"));
const nodes = mkdtempSync(join(tmpdir(), "skywork-nodes-"));
const databaseName = `skywork_smoke_${process.pid}`;
const servers = (process.env.TEST_DATABASE_URL || "mysql://root@127.0.0.1:3306/")
  .split(",")
  .map((url) => new URL(url.trim()));
/** The floor of package.json's `engines` and the current releases of the lines above it, from npm's `node-PLATFORM` packages. */
const NODE_VERSIONS = ["20.19.0", "22", "24"];
const tally = { passed: 0, failed: 0 };

function check(what, held, detail = "") {
  tally[held ? "passed" : "failed"] += 1;
  console.log(`${held ? "ok  " : "FAIL"} ${what}${held || detail === "" ? "" : `\n${detail}`}`);
}

/** Runs to its end; the environment is only what is given, so that nothing of this machine helps. */
function run(command, args, env = {}) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: copy,
    encoding: "utf8",
    timeout: 300_000,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
  });
  return { ok: status === 0, status, output: `${stdout}${stderr}` };
}

/** A shell block of the guide, by how it begins. */
function guideBlock(begins) {
  const guide = readFileSync(join(root, "docs/guides/deploy.md"), "utf8");
  const start = guide.indexOf(`\`\`\`sh\n${begins}`);
  if (start < 0) throw new Error(`The guide has no block ${begins}`);
  return guide.slice(start + 6, guide.indexOf("```", start + 6));
}

function copyTree() {
  const files = execFileSync(
    "git",
    ["ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"],
    { cwd: root, encoding: "utf8" },
  );
  for (const path of files.split("\n")) {
    if (path === "" || !existsSync(join(root, path))) continue;
    mkdirSync(dirname(join(copy, path)), { recursive: true });
    cpSync(join(root, path), join(copy, path));
  }
}

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => probe.once("listening", resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

async function sql(server, text) {
  // The copy's own driver: it has to be there without development dependencies.
  const { createConnection } = createRequire(join(copy, "package.json"))("mariadb");
  const connection = await createConnection({
    host: server.hostname,
    port: Number(server.port || 3306),
    user: decodeURIComponent(server.username),
    password: decodeURIComponent(server.password),
  });
  try {
    return await connection.query(text);
  } finally {
    await connection.end();
  }
}

async function get(url, init) {
  try {
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(5_000) });
    return { status: response.status, text: await response.text() };
  } catch (error) {
    return { status: 0, text: String(error) };
  }
}

/** The path of each of NODE_VERSIONS, installed into a folder of their own under names of their own. */
function installNodes() {
  const name = `node-${process.platform}-${process.arch}`;
  const packages = NODE_VERSIONS.map((version) => `node-${version}@npm:${name}@${version}`);
  // Without links to their programs: all have the same name.
  const options = ["--no-save", "--no-audit", "--no-fund", "--no-bin-links", "--prefix", nodes];
  // With this machine's environment: a mirror's address and certificate may stand there.
  const { ok, output } = run("npm", ["install", ...options, ...packages], process.env);
  if (!ok) throw new Error(`${packages.join(", ")} cannot be installed:\n${output}`);
  return NODE_VERSIONS.map((version) => [
    version,
    join(nodes, "node_modules", `node-${version}`, "bin/node"),
  ]);
}

async function serves(env, node = process.execPath) {
  const base = `http://127.0.0.1:${env.PORT}`;
  // Without npm between, so that a signal reaches the process itself.
  const child = spawn(node, ["server/cli/run.mjs", "start"], {
    cwd: copy,
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (output += chunk));
  const ended = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
  try {
    let ready = { status: 0, text: "" };
    for (let tries = 0; tries < 60 && ready.status !== 200 && child.exitCode === null; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 250));
      ready = await get(`${base}/ready`);
    }
    check("it becomes ready", ready.status === 200, `${ready.text}\n${output}`);
    const health = await get(`${base}/health`);
    check(
      "/health answers",
      health.status === 200 && /"success":true/.test(health.text),
      health.text,
    );
    const costs = await get(`${base}/api/trpc/credit.costs`);
    check("credit.costs is served", /"chat-flash"/.test(costs.text), costs.text);
    const me = await get(`${base}/api/trpc/auth.me`);
    check("auth.me refuses a stranger", me.status === 401, me.text);
    const packages = await get(`${base}/api/payment/packages`);
    check("the catalogue is seeded", /"price":500/.test(packages.text), packages.text);
    const forged = await get(`${base}/api/payment/webhook`, {
      method: "POST",
      headers: { "content-type": "application/json", "stripe-signature": "t=1,v1=00" },
      body: "{}",
    });
    check("a forged webhook is refused", forged.status === 400, forged.text);
  } finally {
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), 15_000);
    const code = await ended;
    clearTimeout(late);
    check("SIGTERM ends it with 0", code === 0, `exit ${code}\n${output.slice(-4000)}`);
  }
}

try {
  copyTree();
  for (const line of guideBlock("npm ci\n").trim().split("\n")) {
    const step = run("sh", ["-c", line], { npm_config_prefer_offline: "true" });
    check(line, step.ok, step.output);
  }
  const frontend = join(copy, "examples/web/dist/assets");
  const knowsApi = (name) =>
    readFileSync(join(frontend, name), "utf8").includes("https://api.example.com");
  check("the frontend knows its API", readdirSync(frontend).some(knowsApi));
  const left = ["tsx", "vitest", "oidc-provider", "vite", "@biomejs/biome"].filter((name) =>
    existsSync(join(copy, "node_modules", name)),
  );
  check("development dependencies are gone", left.length === 0, left.join());
  // dist/ has to stand alone: an image holds no sources, only the launcher.
  for (const path of ["server", "shared/src", "prisma/generated"]) {
    rmSync(join(copy, path), { recursive: true, force: true });
  }
  const launcher = "server/cli/run.mjs";
  mkdirSync(dirname(join(copy, launcher)), { recursive: true });
  cpSync(join(root, launcher), join(copy, launcher));

  const bare = run("npm", ["start"]);
  const named = ["DATABASE_URL", "JWT_SECRET", "REFRESH_TOKEN_SECRET", "STRIPE_SECRET_KEY"];
  check(
    "an empty environment is refused with every problem and exit code 1",
    bare.status === 1 && named.every((name) => bare.output.includes(name)),
    `exit ${bare.status}\n${bare.output}`,
  );

  const common = {
    JWT_SECRET: randomBytes(48).toString("base64"),
    REFRESH_TOKEN_SECRET: randomBytes(48).toString("base64"),
    GOOGLE_CLIENT_ID: "smoke.apps.googleusercontent.com",
    GOOGLE_CLIENT_SECRET: `GOCSPX-${randomBytes(16).toString("hex")}`,
    STRIPE_SECRET_KEY: `sk_test_${randomBytes(16).toString("hex")}`,
    STRIPE_WEBHOOK_SECRET: `whsec_${randomBytes(16).toString("hex")}`,
    // Nobody listens there: a start must not depend on Google or Stripe.
    GOOGLE_ISSUER: "http://127.0.0.1:9",
    STRIPE_API_BASE: "http://127.0.0.1:9",
  };
  const backends = [
    { name: "SQLite", variables: { DATABASE_URL: `file:${join(copy, ".data/smoke.db")}` } },
  ];
  for (const server of servers) {
    const [{ version }] = await sql(server, "SELECT VERSION() AS version");
    await sql(server, `CREATE DATABASE ${databaseName}`);
    backends.push({
      name: `${/mariadb/i.test(version) ? "MariaDB" : "MySQL"} ${version} and Redis`,
      variables: {
        DATABASE_URL: Object.assign(new URL(server), { pathname: `/${databaseName}` }).href,
        REDIS_URL: process.env.TEST_REDIS_URL || "redis://127.0.0.1:6379",
      },
    });
  }
  for (const { name, variables } of backends) {
    console.log(`On ${name}:`);
    const env = { ...common, ...variables, PORT: String(await freePort()) };
    const production = { ...env, NODE_ENV: "production" };
    const migrate = run("npm", ["run", "prisma:migrate"], production);
    check("npm run prisma:migrate", migrate.ok, migrate.output);
    await serves(env);
    const file = join(copy, "production.env");
    const lines = Object.entries(env).map(([name, value]) => `${name}=${value}\n`);
    writeFileSync(file, lines.join(""));
    const command = guideBlock("NODE_ENV=production node").replace("/etc/skywork.env", file);
    const doctor = run("sh", ["-c", command]);
    check("the doctor, with the variables of a file", doctor.ok, doctor.output);
  }
  for (const [version, node] of installNodes()) {
    console.log(`On Node.js ${execFileSync(node, ["--version"], { encoding: "utf8" }).trim()}:`);
    const database = `file:${join(copy, ".data", `node-${version}.db`)}`;
    await serves({ ...common, DATABASE_URL: database, PORT: String(await freePort()) }, node);
  }
} catch (error) {
  check("the smoke test ran to its end", false, error?.stack ?? String(error));
} finally {
  if (existsSync(join(copy, "node_modules/mariadb"))) {
    for (const server of servers)
      await sql(server, `DROP DATABASE IF EXISTS ${databaseName}`).catch(console.error);
  }
  for (const folder of [copy, nodes]) rmSync(folder, { recursive: true, force: true });
}
console.log(`${tally.passed} passed, ${tally.failed} failed`);
process.exit(tally.failed === 0 ? 0 : 1);
