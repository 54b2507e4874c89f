// A logger for those who have nothing to read in it.
import { createLogger } from "../../server/lib/logger.ts";

export const silent = createLogger({ level: "silent" });
