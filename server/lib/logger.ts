// Owns the logger: pino, with every secret-bearing field redacted.
import { type DestinationStream, type Logger as PinoLogger, pino } from "pino";

/** The server's logger; services get child loggers. */
export type Logger = PinoLogger;

const REDACTED_PATHS = [
  "authorization",
  "cookie",
  "password",
  "secret",
  "token",
  "accessToken",
  "refreshToken",
  "idToken",
  "code",
  "clientSecret",
  "req.headers.authorization",
  "req.headers.cookie",
  'req.headers["stripe-signature"]',
  'res.headers["set-cookie"]',
  "headers.authorization",
  "headers.cookie",
  'headers["set-cookie"]',
];

/** Lines wait for company up to this many bytes, or a second: a write of its own for each costs as much as the call it tells of. */
const BATCH_BYTES = 4_096;

/**
 * A JSON logger at `level`; `destination` is stdout unless told. `batched` gathers lines for a moment; they are written at
 * exit, but a SIGKILL loses the last second's.
 */
export function createLogger(options: {
  level: string;
  destination?: DestinationStream;
  batched?: boolean;
}): Logger {
  return pino(
    {
      level: options.level,
      redact: { paths: REDACTED_PATHS, censor: "[redacted]" },
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
