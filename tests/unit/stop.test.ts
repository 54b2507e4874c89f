// Graceful stop: the load balancer's delay does not shorten the drain, and what does not end is cut off.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { stopInOrder } from "../../server/stop.ts";
import { silent as logger } from "../support/silent.ts";

const DELAY_MS = 5_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Returns what happens within `watchMs`, and at which millisecond, if requests in flight end after `drainMs`. */
async function stopped(drainMs: number, watchMs: number): Promise<string[]> {
  const told: string[] = [];
  const startedAt = performance.now();
  const note = (what: string) => void told.push(`${what} at ${performance.now() - startedAt}`);
  const after = (what: string, ms: number) => () => {
    note(what);
    // setTimeout treats Infinity as one millisecond.
    return new Promise<void>((resolve) => {
      if (ms !== Infinity) setTimeout(resolve, ms);
    });
  };
  void stopInOrder({
    logger,
    shutdownDelayMs: DELAY_MS,
    app: {
      beginShutdown: () => note("jobs"),
      endStreams: () => note("streams"),
      close: after("app", 100),
    },
    server: { beginDrain: () => note("drain"), stop: after("requests", drainMs) },
    closeRest: after("rest", 100),
    end: (exitCode) => note(`exit ${exitCode}`),
  });
  await vi.advanceTimersByTimeAsync(watchMs);
  return told;
}

test("requests in flight have all of their time once the delay is over", async () => {
  expect(await stopped(8_000, DELAY_MS + 9_000)).toEqual([
    ...["jobs at 0", "drain at 0", "streams at 5000", "requests at 5000"],
    ...["app at 13000", "rest at 13100", "exit 0 at 13200"],
  ]);
});

test("a stop that hangs is cut off within 10 s of the delay's end", async () => {
  const told = await stopped(Infinity, DELAY_MS + 10_000);
  expect(told.at(-1)).toBe("exit 1 at 14500");
});
