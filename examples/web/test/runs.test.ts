// Following a run: its text is stored completely and only once, whatever another tab writes meanwhile.
import type { RunEvent } from "@skywork/shared";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createRunner, newRun, type RunState, type RunTarget } from "../src/data/runs.ts";

const WORDS = ["One ", "two ", "three ", "four ", "five."];

beforeEach(() => {
  // Without Web Locks, as on plain http, this tab follows immediately.
  vi.stubGlobal("navigator", {});
  vi.stubGlobal("window", globalThis);
});
afterEach(() => vi.unstubAllGlobals());

interface Handlers {
  onData(event: { id: string; data: RunEvent }): void;
  onComplete(): void;
}

/** A server that has every word ready; `before` is called before each one is sent. */
function serverOf(before: (index: number) => void) {
  const asked: (string | undefined)[] = [];
  const subscribe = ({ lastEventId }: { lastEventId?: string }, handlers: Handlers) => {
    asked.push(lastEventId);
    let isOpen = true;
    void (async () => {
      for (let index = Number(lastEventId ?? 0); index < WORDS.length && isOpen; index += 1) {
        await Promise.resolve();
        before(index);
        handlers.onData({
          id: String(index + 1),
          data: { type: "text", text: WORDS[index] ?? "" },
        });
      }
      const end = { type: "end", outcome: "completed", charged: 1, balance: 9 } as const;
      if (isOpen) handlers.onData({ id: String(WORDS.length + 1), data: end });
    })();
    return { unsubscribe: () => (isOpen = false) };
  };
  return { asked, api: { ai: { stream: { subscribe } } } };
}

/** The stored answer, and a function with which another tab overwrites it. */
function keptAnswer() {
  const kept = {
    content: "",
    run: { ...newRun("key"), runId: "run", phase: "running" } as RunState,
  };
  const target: RunTarget = {
    input: { feature: "chat-flash", messages: [], idempotencyKey: "key" },
    state: () => kept.run,
    update: (change) => void (kept.run = { ...kept.run, ...change }),
    take(event, lastEventId) {
      if (event.type === "text") kept.content += event.text;
      kept.run = { ...kept.run, lastEventId };
    },
  };
  const otherTabKeeps = (count: number) => {
    kept.content = WORDS.slice(0, count).join("");
    kept.run = { ...kept.run, lastEventId: count === 0 ? null : String(count) };
  };
  return { kept, target, otherTabKeeps };
}

test.each([
  ["ahead of this one", 1, 3],
  ["behind this one", 3, 1],
  ["at the beginning", 4, 0],
])("keeps every word once when another tab's text arrives %s", async (_where, atIndex, count) => {
  const { kept, target, otherTabKeeps } = keptAnswer();
  let isWritten = false;
  const { api, asked } = serverOf((index) => {
    if (index !== atIndex || isWritten) return;
    isWritten = true;
    otherTabKeeps(count);
  });
  const deps = {
    api: api as never,
    onError: vi.fn<() => void>(),
    onCreditsMoved: vi.fn<() => void>(),
  };
  createRunner(deps).drive(target);
  await expect.poll(() => kept.run.phase).toBe("ended");
  expect(kept.content).toBe(WORDS.join(""));
  expect(asked).toEqual([undefined, count === 0 ? undefined : String(count)]);
});
