// Owns the log line of each administrator's write, beside its line in the audit table: done, or refused and why.
import { isAppError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { AdminStore } from "./ports.ts";
import type { AuditLine } from "./admin.types.ts";

/** `store`, with every write told to `logger`. Reasons and details stay in the database: people write them. */
export function recordingWrites(store: AdminStore, logger: Logger): AdminStore {
  async function told<T>(line: AuditLine, work: Promise<T>): Promise<T> {
    const { action, actorId, targetType, targetId, ip } = line;
    const entry = { event: "admin write", action, actorId, targetType, targetId, ip };
    try {
      const answer = await work;
      logger.warn({ ...entry, outcome: "done" }, "admin write");
      return answer;
    } catch (error) {
      const outcome = isAppError(error) ? error.code : "failed";
      logger.warn({ ...entry, outcome }, "admin write");
      throw error;
    }
  }
  return {
    ...store,
    setRole: (userId, role, line) => told(line, store.setRole(userId, role, line)),
    setDisabled: (userId, at, line) => told(line, store.setDisabled(userId, at, line)),
    adjust: (operation, line) => told(line, store.adjust(operation, line)),
    audit: (line) => told(line, store.audit(line)),
  };
}
