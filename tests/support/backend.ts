// The back end of the Vitest project that runs this file. vitest.config.ts has one project per back end, and each of
// them runs every file that imports this one.
import { inject } from "vitest";
import { describeBackend } from "./databases.ts";
import type { BackendChoice } from "./servers.ts";

declare module "vitest" {
  interface ProvidedContext {
    backend: BackendChoice;
  }
}

const { name, database, redis } = inject("backend");

/** The back end under test. */
export const available = describeBackend(name, database, redis);
