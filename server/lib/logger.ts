// The logger: pino, with every secret-bearing field redacted at any depth, and every line scrubbed of keys.
import { type DestinationStream, type Logger as PinoLogger, pino } from "pino";
import { createScrub, redactFields } from "./scrub.ts";

/** The server's logger; services get child loggers. */
export type Logger = PinoLogger;

/** Lines wait for company up to this many bytes, or a second: a write of its own for each costs as much as the call it tells of. */
const BATCH_BYTES = 4_096;

/**
 * A JSON logger at `level`; `destination` defaults to stdout. `batched` gathers lines for a moment; they are written at
 * exit, but a SIGKILL loses the last second's.
 */
export function createLogger(options: {
  level: string;
  destination?: DestinationStream;
  batched?: boolean;
  /** Configured secrets: no line holds one, whoever put it into a message. */
  secrets?: readonly string[];
}): Logger {
  const scrub = createScrub(options.secrets);
  return pino(
    {
      level: options.level,
      // The whole line, so that messages, stacks and nested fields of third parties are covered alike.
      hooks: { streamWrite: (line) => scrub(redactFields(line)) },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    options.destination ??
      pino.destination(
        options.batched
          ? { sync: false, minLength: BATCH_BYTES, periodicFlush: 1_000 }
          : { sync: false },
      ),
  );
}
