// What the daily audit of the ledger reports.
import { expect, it } from "vitest";
import { createJobs, type JobDeps } from "../../server/jobs/jobs.ts";
import { silent } from "../support/silent.ts";

it("says whether there may be more violations than it lists", async () => {
  const violation = { invariant: "1", userId: "user", detail: "a wrong sum" };
  const audit = async (isCut: boolean) => ({
    ...{ violations: [violation], isCut, users: 1, provenNow: 2, provenEarlier: 0, since: null },
  });
  for (const isCut of [false, true]) {
    // No other job is run.
    const deps = { audit: () => audit(isCut), logger: silent } as unknown as JobDeps;
    const doctor = createJobs(deps).find(({ name }) => name === "doctor");
    await expect(doctor?.run(new AbortController().signal)).rejects.toMatchObject({
      result: { violations: 1, isCut },
    });
  }
});
