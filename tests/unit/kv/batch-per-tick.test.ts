// Questions of the same tick are sent together, and each caller gets its own answer.
import { expect, test } from "vitest";
import { batchPerTick } from "../../../server/kv/redis/batch-per-tick.ts";

function doubling() {
  const asked: (readonly number[])[] = [];
  const ask = batchPerTick((questions: readonly number[]) => {
    asked.push(questions);
    return Promise.resolve(questions.map((one) => one * 2));
  });
  return { ask, asked };
}

test("asks one question for all of a turn, and gives the answers in order", async () => {
  const { ask, asked } = doubling();
  expect(await Promise.all([1, 2, 3].map(ask))).toEqual([2, 4, 6]);
  expect(asked).toEqual([[1, 2, 3]]);
});

test("what is asked while an answer is on its way is asked anew", async () => {
  let answer: (answers: string[]) => void = () => undefined;
  const asked: (readonly string[])[] = [];
  const ask = batchPerTick((questions: readonly string[]) => {
    asked.push(questions);
    return new Promise<string[]>((resolve) => (answer = resolve));
  });
  const first = ask("before");
  await expect.poll(() => asked.length).toBe(1);
  const second = ask("after");
  answer(["old"]);
  expect(await first).toBe("old");
  await expect.poll(() => asked.length).toBe(2);
  answer(["new"]);
  expect(await second).toBe("new");
});

test("a question is never too large", async () => {
  const { ask, asked } = doubling();
  const numbers = Array.from({ length: 1_234 }, (_, index) => index);
  expect(await Promise.all(numbers.map(ask))).toEqual(numbers.map((one) => one * 2));
  expect(asked.map(({ length }) => length)).toEqual([500, 500, 234]);
});

test("when it fails, everybody is told", async () => {
  const ask = batchPerTick(() => Promise.reject(new Error("away")));
  const failures = await Promise.allSettled([ask(1), ask(2)]);
  expect(failures.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
});
