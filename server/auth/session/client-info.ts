// What is kept of what a client says about itself: short, printable, harmless.
import type { ClientFacts } from "../auth.types.ts";

/** As long as the column of `sessions`. */
const MAX_USER_AGENT_LENGTH = 512;

/** User agent and address as they may be stored and shown. */
export function clientFacts(request: { userAgent: string | null; ip: string }): ClientFacts {
  return {
    userAgent:
      request.userAgent?.replace(/[^\x20-\x7e]/g, "?").slice(0, MAX_USER_AGENT_LENGTH) ?? null,
    ip: request.ip,
  };
}
