// A server that dies between the two steps of a refresh: rotated in the database, but not answered.
import { createSessionStore } from "../../../server/auth/session/session.store.ts";
import { createRefreshTokens } from "../../../server/auth/session/refresh-token.ts";
import { rotateRefreshToken } from "../../../server/auth/session/rotate-refresh-token.ts";
import { openBackend } from "../../../server/infrastructure.ts";
import { parseConfig } from "../../../server/config/parse-config.ts";
import { silent as logger } from "../../support/silent.ts";

const config = parseConfig(process.env);
const backend = await openBackend({ config, logger, keyPrefix: process.env["KEY_PREFIX"] ?? "" });
const sessions = createSessionStore(backend.database);
await rotateRefreshToken(
  {
    config,
    logger,
    now: Date.now,
    refreshTokens: createRefreshTokens(config.tokens.refreshSecrets),
    accessTokens: { sign: () => Promise.reject(new Error("never reached")) },
    sessionCache: { invalidate: () => Promise.resolve() },
    pendingGraceEnds: new Set(),
    sessions: {
      ...sessions,
      async rotate(rotation) {
        const rotated = await sessions.rotate(rotation);
        if (rotated) process.kill(process.pid, "SIGKILL");
        return rotated;
      },
    },
  },
  {
    refreshCookies: [],
    bodyToken: process.env["TOKEN"],
    origin: null,
    userAgent: null,
    ip: "127.0.0.1",
  },
);
