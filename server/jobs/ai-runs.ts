// The jobs on metered runs: end those whose producer died, forget the old ones.
import type { AiService } from "../ai/ai.service.ts";
import type { Job } from "./runner.ts";

/** Ends abandoned runs within a minute of their producer's death, and forgets runs after 90 days. */
export function aiRunJobs(ai: Pick<AiService, "endAbandoned" | "prune">): Job[] {
  return [
    {
      name: "ai-runs-end-abandoned",
      everySeconds: 10,
      firstAfterSeconds: 5,
      maxSeconds: 60,
      run: async (signal) => ({ ended: await ai.endAbandoned(signal) }),
    },
    {
      name: "ai-runs-prune",
      everySeconds: 3_600,
      maxSeconds: 600,
      run: async (signal) => ({ pruned: await ai.prune(signal) }),
    },
  ];
}
