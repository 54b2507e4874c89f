// The logger: pino, with every secret-bearing field redacted at any depth, and every line scrubbed of keys.
import { type DestinationStream, type Logger as PinoLogger, pino } from "pino";
import { createScrub, redactFields } from "./scrub.ts";

/** The server's logger; services get child loggers. */
export type Logger = PinoLogger;

/** Lines wait for company up to this many characters, or a second: a write of its own for each costs as much as the call it tells of. */
const BATCH_LENGTH = 16_000;
const BATCH_MS = 1_000;
/** pino's number of `error`: from here on a line is written at once, with all that waited before it. */
const ERROR_LEVEL = 50;

/**
 * A JSON logger at `level`; `destination` defaults to stdout. `batched` gathers lines for a moment; they are written with
 * the next error, and at exit, but a SIGKILL loses the last second's.
 */
export function createLogger(options: {
  level: string;
  destination?: DestinationStream;
  batched?: boolean;
  /** Configured secrets: no line holds one, whoever put it into a message. */
  secrets?: readonly string[];
  /** The trace that the code which logs runs under; absent = nothing is traced. */
  traceId?: () => string | undefined;
}): Logger {
  const { traceId } = options;
  const scrub = createScrub(options.secrets);
  return pino(
    {
      level: options.level,
      hooks: {
        // The whole line, so that messages, stacks and nested fields of third parties are covered alike.
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
    options.destination ?? (options.batched ? gatherLines() : pino.destination({ sync: false })),
  );
}

/**
 * Standard output in pieces of BATCH_LENGTH. pino's destination can gather too, but measures all that it holds at every
 * line, for which V8 copies it: a sixth of what a request allocated.
 */
function gatherLines() {
  const output = pino.destination({ sync: false });
  let lines: string[] = [];
  let length = 0;
  function handOver(): void {
    if (lines.length === 0) return;
    const text = lines.join("");
    lines = [];
    length = 0;
    output.write(text);
  }
  // What is begun in the background when the process ends by itself is cancelled, so the end is written on this thread.
  function flushSync(): void {
    output.flushSync();
    if (lines.length === 0) return;
    const last = pino.destination({ sync: true });
    last.write(lines.join(""));
    lines = [];
    length = 0;
  }
  setInterval(handOver, BATCH_MS).unref();
  process.once("exit", flushSync);
  return {
    write(line: string): void {
      lines.push(line);
      length += line.length;
      if (length >= BATCH_LENGTH) handOver();
    },
    flush(done?: (error?: Error) => void): void {
      handOver();
      output.flush(done);
    },
    flushSync,
  };
}

function traceField(traceId: string | undefined): { traceId?: string } {
  return traceId === undefined ? {} : { traceId };
}

/** What pino keeps of a logger: the fields every line of it has, as JSON, and where its lines go. */
interface Inside {
  readonly [pino.symbols.chindingsSym]: string;
  readonly [pino.symbols.streamSym]: DestinationStream;
}

/**
 * An info line by hand, a tenth of the cost of pino's and our own scrubbing: for the line that every request has. `fields`
 * is the inside of a JSON object of our own words alone, for no secret is looked for in it.
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
