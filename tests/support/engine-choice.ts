// `--engine NAME`: which one engine a run is about.
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
