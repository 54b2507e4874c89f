// What is kept of what a client says about itself: short, printable, harmless.
import type { ClientFacts } from "../auth.types.ts";

const MAX_USER_AGENT_LENGTH = 512;
const MAX_IP_LENGTH = 45;

/** User agent and address as they may be stored and shown. */
export function clientFacts(request: { userAgent: string | null; ip: string | null }): ClientFacts {
  return {
    userAgent:
      request.userAgent?.replace(/[^\x20-\x7e]/g, "?").slice(0, MAX_USER_AGENT_LENGTH) ?? null,
    ip: request.ip === null ? null : request.ip.slice(0, MAX_IP_LENGTH),
  };
}
