// A logger for tests that do not read the log.
import { createLogger } from "../../server/lib/logger.ts";

export const silent = createLogger({ level: "silent" });
