// Saves the sandbox's state in a file: written with a delay, replaced atomically, read at startup.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

const WRITE_AFTER_MS = 250;
const VERSION = 1;

export interface Persistence {
  /** The state of the last run, if there is a readable one. */
  load(): unknown;
  /** Marks the state as changed: the file is written soon. */
  touch(): void;
  /** Writes any unsaved change. */
  close(): Promise<void>;
}

/** A JSON replacer: maps and sets become tagged arrays. */
function tag(_key: string, value: unknown): unknown {
  if (value instanceof Map) return { $map: [...value] };
  if (value instanceof Set) return { $set: [...value] };
  return value;
}

function untag(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if ("$map" in value && Array.isArray(value.$map)) return new Map(value.$map);
  if ("$set" in value && Array.isArray(value.$set)) return new Set(value.$set);
  return value;
}

/** Creates a store that saves what `collect` returns in `dataDir/name`. Without `dataDir`, nothing is saved. */
export function createPersistence(
  dataDir: string | undefined,
  name: string,
  collect: () => unknown,
): Persistence {
  if (dataDir === undefined) {
    return { load: () => undefined, touch: () => undefined, close: () => Promise.resolve() };
  }
  mkdirSync(dataDir, { recursive: true });
  const file = join(dataDir, name);
  const next = `${file}.${process.pid}.tmp`;
  let timer: NodeJS.Timeout | undefined;
  let writing = Promise.resolve();
  const text = (): string => JSON.stringify({ version: VERSION, state: collect() }, tag);
  const write = async (): Promise<void> => {
    try {
      await writeFile(next, text(), { mode: 0o600 });
      await rename(next, file);
    } catch (error) {
      console.error(`Stripe sandbox: cannot write ${file}: ${String(error)}`);
    }
  };
  return {
    load: () => {
      if (!existsSync(file)) return undefined;
      try {
        const read = JSON.parse(readFileSync(file, "utf8"), untag) as {
          version?: unknown;
          state?: unknown;
        };
        if (read.version !== VERSION) throw new Error("another version");
        return read.state;
      } catch (error) {
        renameSync(file, `${file}.broken`);
        console.error(
          `Stripe sandbox: ${file} cannot be read (${String(error)}); it was put aside as .broken and the sandbox starts empty.`,
        );
        return undefined;
      }
    },
    touch: () => {
      if (timer !== undefined) return;
      timer = setTimeout(() => {
        timer = undefined;
        writing = writing.then(write);
      }, WRITE_AFTER_MS);
      timer.unref();
    },
    close: async () => {
      const unwritten = timer !== undefined;
      clearTimeout(timer);
      await writing;
      if (!unwritten) return;
      writeFileSync(next, text(), { mode: 0o600 });
      renameSync(next, file);
      rmSync(next, { force: true });
    },
  };
}
