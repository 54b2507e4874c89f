// How the parent reacts to crashes of a worker: longer and longer pauses, giving up at the fifth early crash.
import { expect, test } from "vitest";
import { countCrashes } from "../../../server/cluster/restarts.ts";

test("the pause grows with each early crash, and the fifth in a row is the last", () => {
  const pauseAfterCrash = countCrashes();
  const pauses = Array.from({ length: 5 }, () => pauseAfterCrash(1_000));
  expect(pauses).toEqual([100, 500, 2_000, 8_000, null]);
});

test("a worker that has lived a while starts the count anew", () => {
  const pauseAfterCrash = countCrashes();
  for (let crash = 0; crash < 4; crash += 1) pauseAfterCrash(1_000);
  expect(pauseAfterCrash(30_000)).toBe(100);
  const pauses = Array.from({ length: 5 }, () => pauseAfterCrash(1_000));
  expect(pauses).toEqual([100, 500, 2_000, 8_000, null]);
});
