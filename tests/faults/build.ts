// The server as production runs it, compiled once for all fault suites: what a start takes from sources says nothing
// about a start.
import { BUILT_VARIABLE, buildServer } from "../bench/built.ts";

/** Builds it before the first test; returns how to remove the build. Each project calls it: the first one builds. */
export function setup(): () => void {
  const { folder, drop } = buildServer();
  process.env[BUILT_VARIABLE] ??= folder;
  return drop;
}
