// The log line of each administrator's write, in addition to its line in the audit table: done, or refused and why.
import { isAppError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { AuditLine } from "../database/ports.ts";

/** Logs how `write` ends and passes its result on. Reasons and details are free text, so they stay in the database. */
export async function logWrite<T>(logger: Logger, line: AuditLine, write: Promise<T>): Promise<T> {
  const { action, actorId, targetType, targetId, ip } = line;
  const entry = { event: "admin write", action, actorId, targetType, targetId, ip };
  try {
    const result = await write;
    logger.warn({ ...entry, outcome: "done" }, "admin write");
    return result;
  } catch (error) {
    const outcome = isAppError(error) ? error.code : "failed";
    logger.warn({ ...entry, outcome }, "admin write");
    throw error;
  }
}
