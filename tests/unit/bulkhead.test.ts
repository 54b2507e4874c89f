// A bulkhead keeps its limits whatever arrives, and drops no work.
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createBulkhead } from "../../server/lib/bulkhead.ts";

describe("a bulkhead", () => {
  it("never runs more than its bounds, and every piece ends, for any arrivals", async () => {
    const arrival = fc.record({ key: fc.constantFrom("a", "b", "c", "d"), fails: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(
        fc.array(arrival, { maxLength: 40 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 3 }),
        async (arrivals, concurrency, perKey) => {
          const bulkhead = createBulkhead({ concurrency, perKey, maxQueue: 5, maxWaitMs: 1_000 });
          let running = 0;
          let most = 0;
          const ofKey = new Map<string, number>();
          const outcomes = await Promise.allSettled(
            arrivals.map(({ key, fails }) =>
              bulkhead.run(key, async () => {
                running += 1;
                most = Math.max(most, running);
                ofKey.set(key, (ofKey.get(key) ?? 0) + 1);
                expect(ofKey.get(key)).toBeLessThanOrEqual(perKey);
                await Promise.resolve();
                running -= 1;
                ofKey.set(key, (ofKey.get(key) ?? 0) - 1);
                if (fails) throw new Error("failed");
                return "done";
              }),
            ),
          );
          expect(most).toBeLessThanOrEqual(concurrency);
          expect(running).toBe(0);
          for (const outcome of outcomes)
            if (outcome.status === "rejected")
              expect(String(outcome.reason)).toMatch(/failed|under way|busy/);
          // All of its slots are free again.
          expect(await bulkhead.run("a", () => Promise.resolve(1))).toBe(1);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("returns SERVICE_UNAVAILABLE when a turn does not come in time, and keeps the place for the next", async () => {
    const bulkhead = createBulkhead({ concurrency: 1, perKey: 1, maxQueue: 5, maxWaitMs: 20 });
    let end = () => undefined as void;
    const long = bulkhead.run("a", () => new Promise<void>((resolve) => (end = resolve)));
    await expect(bulkhead.run("b", () => sleep(0))).rejects.toMatchObject({
      code: "SERVICE_UNAVAILABLE",
    });
    await expect(bulkhead.run("a", () => sleep(0))).rejects.toMatchObject({ code: "RATE_LIMITED" });
    end();
    await long;
    expect(await bulkhead.run("b", () => Promise.resolve("in"))).toBe("in");
  });
});
