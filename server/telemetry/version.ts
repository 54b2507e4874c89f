// Which build this is.
import { readFileSync } from "node:fs";

/**
 * Returns the version in package.json, which is beside the sources and beside dist/; `unknown` where it is not there.
 */
export function readVersion(): string {
  for (const path of ["../../package.json", "../../../package.json"]) {
    try {
      const { version } = JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")) as {
        version?: unknown;
      };
      if (typeof version === "string") return version;
    } catch {
      // Not there: try the other place.
    }
  }
  return "unknown";
}
