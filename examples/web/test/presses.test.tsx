// The guard against double presses: a double click is one press, and an action keeps its key until the response.
import { renderToStaticMarkup } from "react-dom/server";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { useActionKey, usePress } from "../src/data/presses.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** What a hook returns to a component that is rendered once. */
function given<Value>(useHook: () => Value): Value {
  const values: Value[] = [];
  function Component() {
    values.push(useHook());
    return null;
  }
  renderToStaticMarkup(<Component />);
  const [value] = values;
  if (value === undefined) throw new Error("The component was not rendered.");
  return value;
}

/** Presses at these times, with these intents. Returns how often the action ran. */
function pressed(moments: readonly (readonly [atMs: number, intent: string])[]): number {
  const press = given(usePress);
  const act = vi.fn<() => void>();
  let nowMs = 0;
  for (const [atMs, intent] of moments) {
    vi.advanceTimersByTime(atMs - nowMs);
    nowMs = atMs;
    press(intent, act);
  }
  return act.mock.calls.length;
}

test("a second press within 600 ms is the same press", () => {
  expect(
    pressed([
      [0, "ask tea"],
      [599, "ask tea"],
    ]),
  ).toBe(1);
});

test("a press after 600 ms is another one", () => {
  expect(
    pressed([
      [0, "ask tea"],
      [600, "ask tea"],
    ]),
  ).toBe(2);
});

test("something else is never the same press, however quick", () => {
  expect(
    pressed([
      [0, "ask tea"],
      [10, "ask coffee"],
    ]),
  ).toBe(2);
});

test("the time counts from the press that did something, so holding on does not block for ever", () => {
  expect(
    pressed([
      [0, "ask"],
      [400, "ask"],
      [700, "ask"],
    ]),
  ).toBe(2);
});

test("asking again after a lost answer has the same key; a new one after the answer", () => {
  const { keyFor, settled } = given(useActionKey);
  const first = keyFor({ amount: 50, reason: "A kind gesture" });
  expect(keyFor({ amount: 50, reason: "A kind gesture" })).toBe(first);
  settled();
  expect(keyFor({ amount: 50, reason: "A kind gesture" })).not.toBe(first);
});

test("other input has another key", () => {
  const { keyFor } = given(useActionKey);
  expect(keyFor({ amount: 50 })).not.toBe(keyFor({ amount: 5 }));
});
