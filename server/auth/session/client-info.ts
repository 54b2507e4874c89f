// What is stored of a client's description of itself: short, printable, harmless.
import type { ClientFacts } from "../auth.types.ts";

/** The length of the column in `sessions`. */
const MAX_USER_AGENT_LENGTH = 512;

/** Returns user agent and address in a form that is safe to store and show. */
export function clientFacts(request: { userAgent: string | null; ip: string }): ClientFacts {
  return {
    userAgent:
      request.userAgent?.replace(/[^\x20-\x7e]/g, "?").slice(0, MAX_USER_AGENT_LENGTH) ?? null,
    ip: request.ip,
  };
}
