import type { AiService } from "../ai/ai.service.ts";
import type { Job } from "./runner.ts";

/** Ends abandoned runs within a minute of their producer's death. */
export function aiRunJobs(ai: Pick<AiService, "endAbandoned">): Job[] {
  return [
    {
      name: "ai-runs-end-abandoned",
      everySeconds: 10,
      firstAfterSeconds: 5,
      maxSeconds: 60,
      run: async (signal) => ({ ended: await ai.endAbandoned(signal) }),
    },
  ];
}
