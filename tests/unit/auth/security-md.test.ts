// Every line of the table in SECURITY.md names an existing suite.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const rows = readFileSync(`${root}/SECURITY.md`, "utf8")
  .split("\n")
  .filter((line) => /^\| \d/.test(line))
  .map((line) => line.split("|").map((cell) => cell.trim()));

/** Whether `name` is a suite under tests/, or a folder with at least one. */
function isSuite(name: string): boolean {
  const path = `${root}/tests/${name}`;
  if (existsSync(`${path}.test.ts`)) return true;
  return existsSync(path) && statSync(path).isDirectory() && readdirSync(path).length > 0;
}

describe("SECURITY.md", () => {
  it("names a suite, or says why a requirement does not apply", () => {
    expect(rows.length).toBeGreaterThan(50);
    for (const [, number = "", , here = "", shown = ""] of rows) {
      const suites = [
        ...Array.from(shown.matchAll(/`([^`]+)`/g), (match) => match[1] ?? ""),
        ...Array.from(shown.matchAll(/\*([\w-]+)\*/g), (match) => `integration/auth/${match[1]}`),
      ];
      for (const suite of suites) expect(isSuite(suite), `${number}: ${suite}`).toBe(true);
      if (suites.length === 0) {
        const reason = here.startsWith("not applicable") || ["README", "-"].includes(shown);
        expect(reason && here !== "", number).toBe(true);
      }
    }
  });
});
