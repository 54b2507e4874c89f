// Owns `--engine NAME`: which one engine a run is about, found among the servers here or started for the run.
import type { FoundServer, Servers } from "./servers.ts";

/** What `--engine` takes. */
export const ENGINE_NAMES = ["sqlite", "mysql", "mariadb"] as const;
/** One engine of the databases. */
export type EngineName = (typeof ENGINE_NAMES)[number];

/** Reads an engine's name; null where none is given. Throws on any other word. */
export function parseEngine(text: string | undefined): EngineName | null {
  if (text === undefined || text === "") return null;
  const engine = ENGINE_NAMES.find((name) => name === text);
  if (engine === undefined)
    throw new Error(`There is no engine "${text}": ${ENGINE_NAMES.join(", ")}`);
  return engine;
}

/** Whether `engine` is part of a run that is about `choice` (null: about all). */
export const isChosen = (engine: string, choice: EngineName | null): boolean =>
  choice === null || engine === choice;

/**
 * The servers of a run about `choice`. Where none of that engine answers, one is started with `start`, which is asked
 * for it once; the caller ends it.
 */
export async function serversFor(
  choice: EngineName | null,
  servers: Servers,
  start: (engine: "mysql" | "mariadb") => Promise<FoundServer>,
): Promise<Servers> {
  if (choice === null) return servers;
  const databases = servers.databases.filter(({ engine }) => engine === choice);
  if (choice === "sqlite" || databases.length > 0) return { ...servers, databases };
  return { ...servers, databases: [await start(choice)], missing: [] };
}
