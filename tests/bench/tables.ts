// The tables of speeds in README.md and docs/performance.md, generated solely from docs/performance.json.
import type { CpuMicros, Row, Run } from "./report.ts";

/** docs/performance.json: one run per engine. */
export interface Measurements {
  readonly runs: readonly Run[];
}

const times = ({ ratio }: Row) => (ratio === null ? "" : `${number(ratio)} x`);
const ofTheLatency = ({ ratio }: Row) => (ratio === null ? "" : `${number(ratio)} of the latency`);
const ofTheTime = ({ ratio }: Row) => (ratio === null ? "" : `${number(ratio)} of the time`);

/** How the README words each row. */
const SAYINGS: readonly (readonly [
  name: string,
  text: string | ((row: Row) => string),
  say: (row: Row) => string,
])[] = [
  [
    "ledger.uniform",
    "spends over 1,000 users, against the usual way (Redis lock, one transaction each)",
    times,
  ],
  ["ledger.hot", "spends of one user, likewise", times],
  ["ledger.alone", "one spend alone, likewise", ofTheLatency],
  ["http.balance", "balances over HTTP, against an empty tRPC call on Express", times],
  ["http.spend", "spends over HTTP, likewise", times],
  ["embedded.spend", "SQLite, against one Prisma transaction each", times],
  ["scale.rows", manyRows, ofTheLatency],
  ["scale.instances", "two instances against one, different users", times],
  ["scale.instances.hot", "two instances against one, the same user", times],
  ["scale.workers", twoWorkers, times],
  ["ledger.memory", "memory held after ten times as many spends", times],
  ["types.check", "type-checking a client of every procedure, against none", ofTheTime],
];

function number(value: number): string {
  return value >= 10 ? value.toFixed(0) : value.toFixed(value >= 2 ? 1 : 2);
}

function manyRows({ note = "" }: Row): string {
  const rows = Number(/^(\d+) log rows/.exec(note)?.[1]);
  return `${rows.toLocaleString("en-US")} log rows against 10,000`;
}

/** With few cores this figure says little about workers, so it is given with the reason. */
function twoWorkers({ note = "" }: Row): string {
  const cores = /(\d+) cores for/.exec(note)?.[1];
  const shared =
    cores === undefined ? "" : ` (on ${cores} cores shared with database, Redis and callers)`;
  return `two workers on one port, against one${shared}`;
}

/** `figures` says where the absolute figures are. */
function measuredOn({ runs }: Measurements, figures: string): string {
  const [first] = runs;
  if (first === undefined) return "Nothing has been measured.";
  const busy = runs.some((run) => run.busy)
    ? ` The machine was not idle, so rely on the ratios, not on the absolute figures ${figures}.`
    : "";
  return `Measured on ${first.date.slice(0, 10)}: ${first.machine}.${busy}`;
}

/** The README's table: a line per measured row, a column per engine. */
function readmeTable(measurements: Measurements): string {
  const { runs } = measurements;
  const lines = SAYINGS.flatMap(([name, text, say]) => {
    const rows = runs.map((run) => run.rows.find((one) => one.name === name));
    const measured = rows.find((row) => row !== undefined && say(row) !== "");
    if (measured === undefined) return [];
    const cells = rows.map((row) => (row === undefined ? "" : say(row)));
    const saying = typeof text === "string" ? text : text(measured);
    return [`| ${saying} | ${cells.join(" | ")} |`];
  });
  const engines = runs.map(({ engine }) => engine);
  return [
    `| | ${engines.join(" | ")} |`,
    `|---|${engines.map(() => "---|").join("")}`,
    ...lines,
    "",
    measuredOn(measurements, "in [docs/performance.md](docs/performance.md)"),
  ].join("\n");
}

/** All measurements, for docs/performance.md. */
function fullTables(measurements: Measurements): string {
  const tables = measurements.runs.map(({ engine, rows }) =>
    [
      `**${engine}**`,
      "",
      "| row | a second | p50 ms | p99 ms | ratio | CPU of server, database, Redis: us a call | |",
      "|---|---|---|---|---|---|---|",
      ...rows.map(fullLine),
    ].join("\n"),
  );
  return [measuredOn(measurements, "below"), ...tables].join("\n\n");
}

const SPENDS_PER_SECOND = 50_000;
/** A core that is busier than this answers late. */
const BUSY_SHARE = 0.6;

/** Extrapolates the measured costs to 50,000 spends a second. */
function estimate({ runs }: Measurements): string {
  const lines = runs.flatMap(({ engine, rows }) => {
    const cpu = rows.find(({ name }) => name === "http.spend")?.cpuMicros;
    const ledger = rows.find(({ name }) => name === "ledger.uniform");
    if (cpu === undefined || ledger === undefined) return [];
    const cores = (micros: number | null) =>
      micros === null ? "?" : Math.ceil((SPENDS_PER_SECOND * micros) / 1e6 / BUSY_SHARE);
    const shards = Math.ceil(SPENDS_PER_SECOND / (ledger.opsPerSecond * BUSY_SHARE));
    const cells = [cores(cpu.server), cores(cpu.database), shards, cores(cpu.redis)];
    return [`| ${engine} | ${cells.join(" | ")} |`];
  });
  return [
    "From CPU for each `http.spend` and the rate of `ledger.uniform` above, with every core and every primary at 60 %:",
    "",
    "| | cores of servers (one worker each) | cores of databases | primaries like the one measured | cores of Redis |",
    "|---|---|---|---|---|",
    ...lines,
    "",
    "The primary that was measured shares two cores with its callers, the server and Redis: one with cores and a disk of its own does several times as much, and needs as many fewer.",
  ].join("\n");
}

function fullLine({ name, opsPerSecond, p50Ms, p99Ms, ratio, cpuMicros, note = "" }: Row): string {
  const ratioText = ratio === null ? "" : number(ratio);
  const speed = opsPerSecond >= 10 ? opsPerSecond.toFixed(0) : opsPerSecond.toFixed(1);
  const cells = [speed, number(p50Ms), number(p99Ms), ratioText, cpuText(cpuMicros), note];
  return `| \`${name}\` | ${cells.join(" | ")} |`;
}

function cpuText(cpu: CpuMicros | undefined): string {
  if (cpu === undefined) return "";
  const text = (value: number | null) => (value === null ? "-" : value.toFixed(0));
  return [cpu.server, cpu.database, cpu.redis].map(text).join(", ");
}

/** Returns `text` with `table` between the markers `<!-- NAME -->` and `<!-- /NAME -->`. Throws if they are missing. */
function withTable(text: string, name: string, table: string): string {
  const [start, end] = [`<!-- ${name} -->\n`, `\n<!-- /${name} -->`];
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`There is no place for the table ${name}.`);
  return text.slice(0, from + start.length) + table + text.slice(to);
}

/** The pages with tables, each with the function that inserts the measurements into its text. */
export function writtenTables(
  measurements: Measurements,
): Readonly<Record<string, (text: string) => string>> {
  return {
    "README.md": (text) => withTable(text, "performance", readmeTable(measurements)),
    "docs/performance.md": (text) =>
      withTable(
        withTable(text, "performance", fullTables(measurements)),
        "estimate",
        estimate(measurements),
      ),
  };
}
