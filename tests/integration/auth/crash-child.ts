// Owns a server that dies between the two steps of a refresh: rotated in the database, nothing answered.
import { createSessionStore } from "../../../server/auth/session/session.store.ts";
import { createRefresh } from "../../../server/auth/session/refresh.ts";
import { openBackend } from "../../../server/infrastructure.ts";
import { parseConfig } from "../../../server/config/config.ts";
import { createLogger } from "../../../server/lib/logger.ts";

const config = parseConfig(process.env);
const logger = createLogger({ level: "silent" });
const backend = await openBackend({ config, logger, keyPrefix: process.env["KEY_PREFIX"] ?? "" });
const sessions = createSessionStore(backend.database);
const refresh = createRefresh({
  config,
  logger,
  now: Date.now,
  access: {
    sign: () => Promise.reject(new Error("never reached")),
    changed: () => Promise.resolve(),
  },
  sessions: {
    ...sessions,
    async rotate(rotation) {
      const rotated = await sessions.rotate(rotation);
      if (rotated) process.kill(process.pid, "SIGKILL");
      return rotated;
    },
  },
});
await refresh.refresh({
  cookieTokens: [],
  bodyToken: process.env["TOKEN"],
  origin: null,
  userAgent: null,
  ip: "127.0.0.1",
});
