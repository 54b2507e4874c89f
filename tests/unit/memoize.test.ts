// A memoized answer: kept for its time, never requested twice simultaneously, and failures are not kept.
import { afterEach, expect, test, vi } from "vitest";
import { memoize } from "../../server/lib/memoize.ts";
import { deferred } from "../support/deferred.ts";

afterEach(() => {
  vi.useRealTimers();
});

test("is asked for again when its time is over, but not while it is still awaited", async () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  const { promise: first, resolve } = deferred();
  const ask = vi.fn(() => Promise.resolve());
  ask.mockReturnValueOnce(first);
  const remembered = memoize(1_000, ask);
  const answers = [remembered()];
  vi.advanceTimersByTime(5_000);
  answers.push(remembered());
  expect(ask).toHaveBeenCalledTimes(1);
  resolve();
  await Promise.all(answers);
  await remembered();
  expect(ask).toHaveBeenCalledTimes(2);
  vi.advanceTimersByTime(999);
  await remembered();
  expect(ask).toHaveBeenCalledTimes(2);
});

test("is asked for again after a failure", async () => {
  const ask = vi.fn(() => Promise.resolve("there"));
  ask.mockRejectedValueOnce(new Error("away"));
  const remembered = memoize(60_000, ask);
  await expect(remembered()).rejects.toThrow("away");
  expect(await remembered()).toBe("there");
});
