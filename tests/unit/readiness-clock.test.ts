// Setting the clock back must not freeze what /ready reports.
import { afterEach, expect, it, vi } from "vitest";
import { createReadiness } from "../../server/health/readiness.ts";
import { silent } from "../support/silent.ts";

afterEach(() => void vi.useRealTimers());

it("looks anew after the clock was set back", async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2026, 0, 1, 12) });
  let looks = 0;
  const up = { status: "up" } as const;
  const readiness = createReadiness({
    backend: {
      check: () => {
        looks += 1;
        return Promise.resolve({ database: up, redis: up });
      },
      probeWrite: () => Promise.resolve(up),
      diskSpace: () => Promise.resolve(null),
    },
    stripe: null,
    clocks: [],
    backlog: () => Promise.resolve({ pending: 0, failed: 0 }),
    lastDoctor: () => Promise.resolve(null),
    isShuttingDown: () => false,
    workers: () => ({ wanted: 1, listening: 1, started: true }),
    logger: silent,
  });
  await readiness();
  vi.setSystemTime(Date.UTC(2026, 0, 1, 11));
  await expect
    .poll(async () => {
      await readiness();
      return looks;
    })
    .toBeGreaterThan(1);
});
