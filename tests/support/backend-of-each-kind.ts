// The back end of the Vitest project that runs this file, for what depends on the kind of back end (embedded, or servers
// with or without Redis) but not on which SQL server answers: no races in SQL, locks, dates, collations or types of
// columns. vitest.config.ts runs the files that import this one on the first back end of each kind only; the SQL of what
// they call is shown on every server by the suites that import backend.ts.
import { available as onThisBackend } from "./backend.ts";

/** The back end to test on. */
export const available = onThisBackend;
