// A run that nobody reads, and only such a run, ends after its grace period, whatever happens to the clock.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createActiveRuns } from "../../../server/ai/active-runs.ts";
import type { Run } from "../../../server/ai/ai.types.ts";
import type { ProduceDeps } from "../../../server/ai/ports.ts";
import { watchRun } from "../../../server/ai/watch-run.ts";
import { createMemoryRunOutput } from "../../../server/kv/memory-run-output.ts";
import { silent } from "../../support/silent.ts";

const TIMINGS = { readerGraceMs: 30_000, tickMs: 2_000, maxRunMs: 600_000, leaseMs: 20_000 };
const HOUR_MS = 3_600_000;

describe("the grace of a run that nobody reads", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  function openRun(renewLease = () => Promise.resolve("running")) {
    const output = createMemoryRunOutput();
    output.begin("run", 900);
    const deps = {
      output,
      store: { renewLease },
      logger: silent,
      timings: TIMINGS,
    } as unknown as ProduceDeps;
    const active = createActiveRuns().start({ id: "run" } as Run, (run) => {
      const watch = watchRun(deps, run, () => 0);
      return new Promise((resolve) =>
        run.signal.addEventListener("abort", () => resolve(watch.end())),
      );
    });
    return { active, output };
  }

  it.each([
    ["back", -HOUR_MS],
    ["forward", HOUR_MS],
  ])("lasts as long where the clock is set %s", async (_how, byMs) => {
    const { active, output } = openRun();
    await output.noteReader("run");
    await vi.advanceTimersByTimeAsync(5_000);
    vi.setSystemTime(Date.now() + byMs);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(active.stopReason).toBeNull();
    await output.noteReader("run");
    await vi.advanceTimersByTimeAsync(29_000);
    expect(active.stopReason).toBeNull();
    await vi.advanceTimersByTimeAsync(6_000);
    expect(active.stopReason).toBe("abandoned");
  });

  it("begins anew after an outage of the database, in which no reader could come back", async () => {
    let isUnavailable = true;
    const { active } = openRun(() =>
      isUnavailable ? Promise.reject(new Error("away")) : Promise.resolve("running"),
    );
    await vi.advanceTimersByTimeAsync(60_000);
    isUnavailable = false;
    await vi.advanceTimersByTimeAsync(28_000);
    expect(active.stopReason).toBeNull();
    await vi.advanceTimersByTimeAsync(6_000);
    expect(active.stopReason).toBe("abandoned");
  });
});
