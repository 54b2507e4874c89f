// `--engine NAME`: restricts a run to one database engine.
/** The values of `--engine`. */
export const ENGINE_NAMES = ["sqlite", "mysql", "mariadb"] as const;
/** One database engine. */
export type EngineName = (typeof ENGINE_NAMES)[number];

/** Parses an engine's name; returns null if none is given. Throws on any other word. */
export function parseEngine(text: string | undefined): EngineName | null {
  if (text === undefined || text === "") return null;
  const engine = ENGINE_NAMES.find((name) => name === text);
  if (engine === undefined)
    throw new Error(`There is no engine "${text}": ${ENGINE_NAMES.join(", ")}`);
  return engine;
}

/** Whether a run restricted to `choice` (null: not restricted) includes `engine`. */
export const isChosen = (engine: string, choice: EngineName | null): boolean =>
  choice === null || engine === choice;
