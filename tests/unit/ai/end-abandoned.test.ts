import { expect, test } from "vitest";
import type { ActiveRuns } from "../../../server/ai/active-runs.ts";
import type { Run } from "../../../server/ai/ai.types.ts";
import type { RunStore } from "../../../server/ai/ports.ts";
import { endAbandonedRuns } from "../../../server/ai/stop-run.ts";
import { serviceUnavailable } from "../../../server/database/errors.ts";
import type { RunOutput } from "../../../server/kv/ports.ts";
import { silent } from "../../support/silent.ts";

test("a user whose row is locked delays nobody's abandoned runs, and is tried once in a round", async () => {
  const runs = ["locked", "locked", "free", "locked", "free"].map((userId, index) => ({
    ...{ id: `run_${index}`, userId, state: "running" },
  }));
  const tried: string[] = [];
  let clockReads = 0;
  const store: Partial<RunStore> = {
    abandoned: async () => runs as Run[],
    async now() {
      clockReads += 1;
      return new Date();
    },
    async endAbandoned({ id, userId }) {
      tried.push(id);
      if (userId === "locked")
        throw serviceUnavailable(Object.assign(new Error("lock wait"), { errno: 1205 }));
      return null;
    },
  };
  const deps = {
    store: store as RunStore,
    output: {} as RunOutput,
    active: { get: () => undefined } as unknown as ActiveRuns,
    pubsub: { publish: async () => {}, subscribe: async () => async () => {} },
    logger: silent,
    timings: {
      ...{ readerGraceMs: 1, maxRunMs: 1, modelSilenceMs: 1 },
      keepOutputMs: 1,
      leaseMs: 1,
      tickMs: 1,
    },
  };
  await endAbandonedRuns(deps, new AbortController().signal);
  expect(tried).toEqual(["run_0", "run_2", "run_4"]);
  // Producers were given their three ticks once, at the start.
  expect(clockReads).toBe(3);
});
