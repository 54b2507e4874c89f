// Owns `npm run bench`: the groups of rows, each a ratio against its baseline measured in the same run.
// --engine mysql|mariadb|sqlite measures that engine, which is started where none of it answers; --only GROUP runs one group; --json FILE writes the rows; --seconds N sets the length of one measurement.
import { parseArgs } from "node:util";
import { benchEmbedded } from "./embedded.ts";
import { benchHttp } from "./http.ts";
import { benchLedger } from "./ledger.ts";
import { benchMemory } from "./memory.ts";
import { coverageOf } from "../support/coverage.ts";
import { ENGINE_NAMES, parseEngine } from "../support/engine-choice.ts";
import { prepareServers } from "../support/prepare-servers.ts";
import { createReport, type Report } from "./report.ts";
import { benchScale } from "./scale.ts";
import { benchStart } from "./start.ts";
import { benchTypes } from "./types.ts";

const GROUPS: Readonly<Record<string, (report: Report, seconds: number) => Promise<void>>> = {
  ledger: benchLedger,
  memory: benchMemory,
  embedded: benchEmbedded,
  http: benchHttp,
  scale: benchScale,
  types: benchTypes,
  start: benchStart,
};

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    engine: { type: "string" },
    json: { type: "string" },
    seconds: { type: "string", default: "4" },
  },
});
const seconds = Number(values.seconds);
const chosen = values.only === undefined ? Object.keys(GROUPS) : values.only.split(",");
const unknown = chosen.filter((name) => !Object.hasOwn(GROUPS, name));
const engines: readonly (string | undefined)[] = [undefined, ...ENGINE_NAMES];
if (unknown.length > 0 || !(seconds > 0) || !engines.includes(values.engine)) {
  console.error(
    `Usage: npm run bench -- [--only ${Object.keys(GROUPS).join("|")}] [--engine ${ENGINE_NAMES.join("|")}] [--json FILE] [--seconds N]`,
  );
  process.exit(2);
}
const choice = parseEngine(values.engine);
const servers = await prepareServers({ choice, needs: "found" });
process.env["TEST_SERVERS"] = JSON.stringify(servers);
process.env["TEST_ENGINE"] = choice ?? "";
const report = createReport();
report.say(coverageOf(servers, choice).line);
for (const name of chosen) await GROUPS[name]?.(report, seconds);
if (values.json !== undefined) await report.save(values.json);
