// `npm run bench:write`: measures everything the documents mention, on each available engine, and writes
// docs/performance.json and the tables generated from it. `-- --tables` only writes the tables. Takes about ten minutes
// on a quiet machine.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { START_FLAGS } from "./child.ts";
import { findServers } from "../support/servers.ts";
import { readRun, type Run } from "./report.ts";
import { type Measurements, writtenTables } from "./tables.ts";

const ROOT = new URL("../../", import.meta.url);
const RECORD = new URL("docs/performance.json", ROOT);
const BENCH = fileURLToPath(new URL("run.ts", import.meta.url));
const SECONDS = process.argv.includes("--brief") ? "0.5" : "2";
/** The first engine is measured in full; the others only for what differs between databases. */
const GROUPS = "ledger,embedded,http,scale,books,streams,types,start,memory";
const GROUPS_OF_OTHERS = "ledger,http";

async function measure(): Promise<Measurements> {
  const { databases } = await findServers(process.env);
  const folder = mkdtempSync(join(tmpdir(), "skywork-bench-write-"));
  try {
    const runs: Run[] = [];
    for (const { url, name } of databases) {
      const file = join(folder, `${runs.length}.json`);
      const groups = runs.length === 0 ? GROUPS : GROUPS_OF_OTHERS;
      const options = ["--only", groups, "--seconds", SECONDS, "--json", file];
      const { status } = spawnSync(
        process.execPath,
        [...START_FLAGS, "--import", "tsx", BENCH, ...options],
        { stdio: "inherit", env: { ...process.env, TEST_DATABASE_URL: url } },
      );
      if (status !== 0) throw new Error(`The benchmark on ${name} ended with ${status}.`);
      runs.push(await readRun(file));
    }
    if (runs.length === 0)
      throw new Error("No MySQL or MariaDB answers: TEST_DATABASE_URL names them.");
    return { runs };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (!process.argv.includes("--tables"))
  writeFileSync(RECORD, `${JSON.stringify(await measure(), null, 2)}\n`);
const measurements = JSON.parse(readFileSync(RECORD, "utf8")) as Measurements;
for (const [file, write] of Object.entries(writtenTables(measurements))) {
  const place = new URL(file, ROOT);
  writeFileSync(place, write(readFileSync(place, "utf8")));
}
