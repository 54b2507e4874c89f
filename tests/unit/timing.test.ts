// Waiting is bounded, and pauses between attempts stay within their limits.
import { expect, test, vi } from "vitest";
import { fullJitterMs, jitteredMs } from "../../server/lib/backoff.ts";
import { withFallback, withTimeout } from "../../server/lib/timeout.ts";

const never = new Promise<string>(() => {});

test("withTimeout returns what the work returns, and rejects as it rejects", async () => {
  const late = () => new Error("late");
  await expect(withTimeout(Promise.resolve("done"), 1_000, late)).resolves.toBe("done");
  await expect(withTimeout(Promise.reject(new Error("no")), 1_000, late)).rejects.toThrow("no");
});

test("withTimeout rejects with the given error once its time is over", async () => {
  await expect(withTimeout(never, 5, () => new Error("late"))).rejects.toThrow("late");
});

test("withFallback returns the fallback once its time is over", async () => {
  await expect(withFallback(never, 5, "fallback")).resolves.toBe("fallback");
  await expect(withFallback(Promise.resolve("done"), 1_000, "fallback")).resolves.toBe("done");
});

test("work that fails after its time leaves no unhandled rejection", async () => {
  const unhandled = vi.fn();
  process.on("unhandledRejection", unhandled);
  let fail = (_error: Error): void => undefined;
  const failing = new Promise<string>((_resolve, reject) => (fail = reject));
  await expect(withFallback(failing, 5, "fallback")).resolves.toBe("fallback");
  fail(new Error("too late"));
  await new Promise((resolve) => setTimeout(resolve, 40));
  process.off("unhandledRejection", unhandled);
  expect(unhandled).not.toHaveBeenCalled();
});

test("a pause doubles with every try and never exceeds its bound", () => {
  const random = vi.spyOn(Math, "random").mockReturnValue(0.999_999);
  const pauses = [1, 2, 3, 30].map((attempt) => fullJitterMs(attempt, { firstMs: 2, maxMs: 150 }));
  random.mockRestore();
  expect(pauses.map(Math.round)).toEqual([4, 8, 16, 150]);
});

test("a jittered period is a quarter more or less", () => {
  for (let i = 0; i < 100; i += 1) {
    expect(jitteredMs(400)).toBeGreaterThanOrEqual(300);
    expect(jitteredMs(400)).toBeLessThanOrEqual(500);
  }
});
