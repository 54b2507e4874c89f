// A reader that resumes from a high event id while the run's output is being sent to Redis again.
import { expect, it } from "vitest";
import type { Run } from "../../../server/ai/ai.types.ts";
import type { RunStore } from "../../../server/ai/ports.ts";
import { type ReadDeps, readRun } from "../../../server/ai/read-run.ts";
import type { OutputPage, RunOutput } from "../../../server/kv/ports.ts";

const END = { type: "end", outcome: "completed", charged: 5, balance: 95 };

/** Returns what is read after event 900 if each read of the output finds the next of `found` as the last event. */
async function readAfter900(found: number[]) {
  const [first = 0, ...others] = found;
  let last = first;
  let wake = () => {};
  const page = (afterSeq: number): OutputPage => ({
    events: last > afterSeq ? [{ seq: afterSeq + 1, data: JSON.stringify(END) }] : [],
    ...{ lastSeq: last, reachable: true, isProducer: false },
  });
  const output: Partial<RunOutput> = {
    isShared: true,
    async read(_runId, afterSeq) {
      const now = page(afterSeq);
      last = others.shift() ?? last;
      return now;
    },
    requestMissing: async () => wake(),
    async watch(_runId, listener) {
      wake = listener;
      return async () => {};
    },
    noteReader: async () => {},
  };
  const run = { id: "run_1", userId: "u1", endedAt: null, lastSeq: null, state: "running" };
  const deps = {
    store: { find: async () => run as unknown as Run } as unknown as RunStore,
    output: output as RunOutput,
    timings: { tickMs: 1_000 } as ReadDeps["timings"],
  };
  const reader = { userId: "u1", runId: "run_1", lastEventId: "run_1.900" };
  const events: unknown[] = [];
  for await (const { event } of readRun(deps, reader, AbortSignal.timeout(10_000)))
    events.push(event);
  return events;
}

it("is not refused while ever more of it arrives", async () => {
  expect(await readAfter900([0, 200, 400, 600, 901])).toEqual([END]);
});

it("is refused once nothing more arrives, and where more never ends", async () => {
  const refusal = { code: "VALIDATION_FAILED" };
  await expect(readAfter900([200])).rejects.toMatchObject(refusal);
  await expect(readAfter900([0, 200, 400])).rejects.toMatchObject(refusal);
  const slowly = Array.from({ length: 100 }, (_, index) => index);
  await expect(readAfter900(slowly)).rejects.toMatchObject(refusal);
});
