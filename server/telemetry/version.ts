// Which build this is.
import { readFileSync } from "node:fs";

/** The version in package.json, which lies beside the sources and beside dist/; `unknown` where it is not there. */
export function readVersion(): string {
  for (const path of ["../../package.json", "../../../package.json"]) {
    try {
      const { version } = JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")) as {
        version?: unknown;
      };
      if (typeof version === "string") return version;
    } catch {
      // Not there: the other place, then.
    }
  }
  return "unknown";
}
