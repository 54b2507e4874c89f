// The server as production runs it, compiled once for all fault suites: starting from sources would say nothing about
// how long a start takes.
import { BUILT_VARIABLE, buildServer } from "../bench/built.ts";

/** Builds it before the first test; returns a function that removes it. Each project calls it; the first one builds. */
export function setup(): () => void {
  const { folder, drop } = buildServer();
  process.env[BUILT_VARIABLE] ??= folder;
  return drop;
}
