// The logger: pino, with every secret-bearing field redacted at any depth, and every line scrubbed of keys.
import { type DestinationStream, type Logger as PinoLogger, pino } from "pino";
import { createLogOutput, type LogOutput } from "./log-output.ts";
import { createScrub, redactFields } from "./scrub.ts";

/** The server's logger; services get child loggers. */
export type Logger = PinoLogger;

/**
 * pino's number of `error`: from this level on a line is written immediately, with everything that waited before it.
 */
const ERROR_LEVEL = 50;

/**
 * Creates a JSON logger at `level`; `destination` defaults to stdout. `batched` gathers lines for a moment; they are
 * written with the next error, and on exit, but a SIGKILL loses the last second's.
 */
export function createLogger(options: {
  level: string;
  destination?: DestinationStream;
  batched?: boolean;
  /** Configured secrets, removed from every line, whatever put them there. */
  secrets?: readonly string[];
  /** Returns the id of the trace that the logging code runs under. Omitted when nothing is traced. */
  traceId?: () => string | undefined;
}): Logger {
  const { traceId } = options;
  const output =
    options.destination ??
    createLogOutput({
      isBatched: options.batched ?? false,
      // Logged as an error so that it shows at every log level, because lines of every level were dropped.
      onDropped: (dropped) =>
        logger.error({ dropped }, "log lines were dropped: nobody read them meanwhile"),
    });
  const scrub = createScrub(options.secrets);
  const logger: Logger = pino(
    {
      level: options.level,
      hooks: {
        // Scrubs the whole line, so that messages, stacks and nested third-party fields are all covered.
        streamWrite: (line) => scrub(redactFields(line)),
        logMethod(line, method, level) {
          method.apply(this, line);
          if (level >= ERROR_LEVEL) this.flush();
        },
      },
      ...(traceId === undefined ? {} : { mixin: () => traceField(traceId()) }),
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    output,
  );
  return logger;
}

function traceField(traceId: string | undefined): { traceId?: string } {
  return traceId === undefined ? {} : { traceId };
}

/** pino's internals of a logger: the fields that every line of it has, as JSON, and where its lines go. */
interface Inside {
  readonly [pino.symbols.chindingsSym]: string;
  readonly [pino.symbols.streamSym]: DestinationStream & Partial<Pick<LogOutput, "dropped">>;
}

/** Returns how many lines of this logger, and of all that share its output, were dropped because nobody read them. */
export function droppedLines(logger: Logger): number {
  return (logger as unknown as Inside)[pino.symbols.streamSym].dropped ?? 0;
}

/**
 * Writes an info line by hand, at a tenth of the cost of pino and our own scrubbing: for the one line that every
 * request has. `fields` is the inside of a JSON object and must hold only our own words, because it is not scrubbed.
 */
export function writeInfo(logger: Logger, fields: string, message: string): void {
  if (!logger.isLevelEnabled("info")) return;
  const inside = logger as unknown as Inside;
  const time = new Date().toISOString();
  const always = inside[pino.symbols.chindingsSym];
  inside[pino.symbols.streamSym].write(
    `{"level":"info","time":"${time}"${always},${fields},"msg":"${message}"}\n`,
  );
}
