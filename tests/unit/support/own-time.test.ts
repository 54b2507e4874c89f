// The clock of tests that limit how long something takes: waiting and our own work count.
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { timed, within } from "../../support/own-time.ts";

test("returns what was done in time", async () => {
  expect(await within(30_000, () => sleep(1, "done"))).toBe("done");
});

test("throws for what waited too long", async () => {
  await expect(within(50, () => sleep(2_000))).rejects.toThrow(/^It took \d+ ms, not 50\.$/);
});

test("counts work that lets no timer run", async () => {
  const { tookMs } = await timed(() => {
    const before = process.cpuUsage();
    while (process.cpuUsage(before).user < 100_000);
    return Promise.resolve();
  });
  expect(tookMs).toBeGreaterThanOrEqual(100);
});
