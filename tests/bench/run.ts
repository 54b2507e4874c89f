// `npm run bench`: the groups of rows. Each ratio is relative to a baseline measured in the same run.
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { coverageOf } from "../support/coverage.ts";
import { ENGINE_NAMES, parseEngine } from "../support/engine-choice.ts";
import { prepareServers } from "../support/prepare-servers.ts";
import { benchBooks } from "./books.ts";
import { benchEmbedded } from "./embedded.ts";
import { benchHttp } from "./http.ts";
import { benchLedger } from "./ledger.ts";
import { busyWarning, describeMachine } from "./machine.ts";
import { benchMemory } from "./memory.ts";
import { createReport, printComparison, readRun, type Report, type Run } from "./report.ts";
import { benchScale } from "./scale.ts";
import { benchStart } from "./start.ts";
import { benchStreams } from "./streams.ts";
import { benchTypes } from "./types.ts";

const GROUPS: Readonly<Record<string, (report: Report, seconds: number) => Promise<void>>> = {
  ledger: benchLedger,
  memory: benchMemory,
  streams: benchStreams,
  embedded: benchEmbedded,
  http: benchHttp,
  scale: benchScale,
  books: benchBooks,
  types: benchTypes,
  start: benchStart,
};

const USAGE = `Usage: npm run bench -- [OPTIONS]
  --only GROUP[,GROUP]  ${Object.keys(GROUPS).join(", ")}
  --engine NAME         ${ENGINE_NAMES.join(", ")}; started where none of it answers
  --seconds N           length of one measurement (4)
  --brief               the ledger for half a second each: that it runs, not how fast
  --json FILE           writes the rows
  --compare FILE        prints the rows beside those of a FILE that --json wrote`;

function readArguments() {
  const { values } = parseArgs({
    options: {
      only: { type: "string" },
      engine: { type: "string" },
      json: { type: "string" },
      compare: { type: "string" },
      seconds: { type: "string" },
      brief: { type: "boolean", default: false },
    },
  });
  const only = values.only ?? (values.brief ? "ledger" : Object.keys(GROUPS).join(","));
  const groups = only.split(",");
  const seconds = Number(values.seconds ?? (values.brief ? "0.5" : "4"));
  const engines: readonly (string | undefined)[] = [undefined, ...ENGINE_NAMES];
  const isKnown = groups.every((name) => Object.hasOwn(GROUPS, name));
  if (!isKnown || !(seconds > 0) || !engines.includes(values.engine)) throw new Error("unknown");
  return { ...values, groups, seconds };
}

function argumentsOrUsage() {
  try {
    return readArguments();
  } catch {
    console.error(USAGE);
    return process.exit(2);
  }
}

const options = argumentsOrUsage();
const choice = parseEngine(options.engine);
const servers = await prepareServers(choice, "found");
process.env["TEST_SERVERS"] = JSON.stringify(servers);
process.env["TEST_ENGINE"] = choice ?? "";
const names = [
  ...servers.databases.slice(0, 1),
  ...(servers.redis === null ? [] : [servers.redis]),
];
const machine = describeMachine(names.map(({ name }) => name));
const engine = servers.databases[0]?.name ?? `SQLite ${servers.sqlite}`;
const then = options.compare === undefined ? null : await readRun(options.compare, engine);
const report = createReport();
report.say(`${coverageOf(servers, choice).line}\n${machine}`);
const warning = busyWarning();
if (warning !== null) report.say(warning);
for (const group of options.groups) await GROUPS[group]?.(report, options.seconds);
const run: Run = {
  engine,
  machine,
  busy: warning !== null,
  date: new Date().toISOString(),
  rows: report.rows,
};
if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(run, null, 2)}\n`);
if (then !== null) printComparison(then, run);
