// The README's table of engines: generated from recorded runs, and naming what CI is configured to run.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { coverageTable, readRuns, type RecordedRun } from "../../support/coverage.ts";

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");

const RUNS: RecordedRun[] = [
  {
    suites: "all",
    filters: [],
    engines: [
      { engine: "sqlite", name: "SQLite 3.45.1" },
      { engine: "mariadb", name: "MariaDB 10.11.14" },
      { engine: "mysql", name: "MySQL 9.7.4" },
    ],
  },
  {
    suites: "all",
    filters: ["contract/cache", "contract/database.test", "integration/ledger/"],
    engines: [
      { engine: "mariadb", name: "MariaDB 11.8.9" },
      { engine: "valkey", name: "Valkey 9.1.2" },
    ],
  },
  { suites: "faults", filters: [], engines: [{ engine: "mysql", name: "MySQL 9.7.4" }] },
];

test("makes a row for each engine and minor version, with its suites", () => {
  const text = RUNS.map((run) => JSON.stringify(run)).join("\n");
  expect(coverageTable(readRuns(`${text}\n`))).toBe(
    [
      "| engine | suites CI runs on it |",
      "|---|---|",
      "| SQLite 3.45 | every suite |",
      "| MySQL 9.7 | every suite, faults |",
      "| MariaDB 10.11 | every suite |",
      "| MariaDB 11.8 | contract, ledger |",
      "| Valkey 9.1 | contract, ledger |",
    ].join("\n"),
  );
});

test("the README's table has a row for every engine that CI starts", () => {
  const [, table = ""] =
    /<!-- engines -->\n([\s\S]*?)\n<!-- \/engines -->/.exec(read("README.md")) ?? [];
  const started = [...read(".ci/run").matchAll(/\bstart \w+ ([\w-]+)(?=;|$)/gm)].map(([, engine]) =>
    String(engine),
  );
  expect(started.sort()).toEqual(["mariadb", "mariadb-11", "mysql", "redis", "valkey"]);
  const rows = table.split("\n").slice(2);
  for (const title of ["SQLite", "MySQL", "MariaDB", "Redis", "Valkey"])
    expect(rows.filter((row) => row.startsWith(`| ${title} `)).length, title).toBe(
      title === "MariaDB" ? 2 : 1,
    );
});
