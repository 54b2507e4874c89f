// Deletes sessions that ended long ago.
import type { AuthService } from "../auth/auth.service.ts";
import type { Job } from "./runner.ts";

/** Forgets sign-ins whose absolute end is more than a day ago. */
export function sessionPruneJob(auth: Pick<AuthService, "pruneSessions">): Job {
  return {
    name: "sessions-prune",
    everySeconds: 86_400,
    maxSeconds: 600,
    firstAfterSeconds: 600,
    run: async () => ({ forgotten: await auth.pruneSessions() }),
  };
}
