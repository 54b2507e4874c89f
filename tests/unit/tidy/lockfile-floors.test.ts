// The minimum versions of PROMISES.md "Known holes of the stack": versions below them have known vulnerabilities.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

interface Lock {
  packages: Record<
    string,
    { version?: string; resolved?: string; integrity?: string; link?: boolean }
  >;
}

const lock = JSON.parse(
  readFileSync(new URL("../../../package-lock.json", import.meta.url), "utf8"),
) as Lock;

/** Package, lowest permitted version, and the vulnerability below it. */
const FLOORS: ReadonlyArray<readonly [string, string, string]> = [
  ["@trpc/server", "11.8.0", "form-data prototype pollution (CVE-2025-68130)"],
  ["qs", "6.14.1", "arrayLimit bypass: one query string exhausts memory (CVE-2025-15284)"],
  ["body-parser", "2.2.1", "denial of service by url-encoded bodies (CVE-2025-13466)"],
  ["express", "5.1.0", "res.redirect and path-to-regexp fixes of 2024-2025"],
  ["path-to-regexp", "8.0.0", "regular expressions that run for minutes (CVE-2024-45296)"],
  ["cookie", "0.7.0", "cookie names that break out of the header (CVE-2024-47764)"],
  ["send", "1.1.0", "markup in redirects (CVE-2024-43799)"],
  ["mariadb", "3.4.5", "what tests/faults cut connections of: the process must survive ECONNRESET"],
];

function parts(version: string): [number, number, number] {
  const [major = 0, minor = 0, patch = 0] = version.split("-")[0]?.split(".").map(Number) ?? [];
  return [major, minor, patch];
}

function atLeast(version: string, floor: string): boolean {
  const [have, need] = [parts(version), parts(floor)];
  for (const index of [0, 1, 2] as const) {
    if (have[index] !== need[index]) return have[index] > need[index];
  }
  return true;
}

/** Returns every installed version of a package, including nested copies. */
function installed(name: string): string[] {
  return Object.entries(lock.packages)
    .filter(([path]) => path.endsWith(`node_modules/${name}`))
    .flatMap(([, entry]) => (entry.version === undefined ? [] : [entry.version]));
}

describe("lock file floors", () => {
  test.each(FLOORS)("%s is at least %s: %s", (name, floor) => {
    const versions = installed(name);
    expect(versions.length).toBeGreaterThan(0);
    expect(versions.filter((version) => !atLeast(version, floor))).toEqual([]);
  });

  test("the comparison itself tells versions apart", () => {
    expect(atLeast("6.14.1", "6.14.1")).toBe(true);
    expect(atLeast("6.14.0", "6.14.1")).toBe(false);
    expect(atLeast("11.10.0", "11.8.0")).toBe(true);
    expect(atLeast("10.99.99", "11.8.0")).toBe(false);
  });

  test("everything comes from the npm registry, with a checksum", () => {
    const strangers = Object.entries(lock.packages).filter(
      ([path, { resolved, integrity, link }]) =>
        path.startsWith("node_modules/") &&
        // One of our workspaces.
        link !== true &&
        (integrity === undefined ||
          (resolved !== undefined && !resolved.startsWith("https://registry.npmjs.org/"))),
    );
    expect(strangers.map(([path]) => path)).toEqual([]);
  });
});
