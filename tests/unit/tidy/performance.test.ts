// Every speed in the documents was measured: the tables match docs/performance.json, and speeds are named nowhere else.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type Measurements, writtenTables } from "../../bench/tables.ts";

const ROOT = new URL("../../../", import.meta.url);
const read = (path: string) => readFileSync(new URL(path, ROOT), "utf8");
const measurements = JSON.parse(read("docs/performance.json")) as Measurements;

test.each(Object.entries(writtenTables(measurements)))(
  "the tables of %s are what was measured (npm run bench:write -- --tables)",
  (page, write) => {
    const text = read(page);
    expect(write(text)).toBe(text);
  },
);

test("every run says on what and when it was measured", () => {
  expect(measurements.runs.length).toBeGreaterThan(0);
  for (const run of measurements.runs) {
    expect(run.machine).toMatch(/Node\.js/);
    expect(Number.isNaN(Date.parse(run.date))).toBe(false);
    expect(run.rows.length).toBeGreaterThan(0);
  }
});

test("the README names no speed outside its table", () => {
  const outside = read("README.md").replace(
    /<!-- performance -->[\s\S]*<!-- \/performance -->/,
    "",
  );
  expect(outside.match(/\b\d[\d.,]* ?(x\b|times as|spends a second|ms\b|µs|\/s\b)/g)).toBeNull();
});
