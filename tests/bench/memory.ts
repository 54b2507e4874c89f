// The row about the writer's memory: what it still holds after many operations, compared with after a tenth of them.
import { createHistogram } from "node:perf_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { recordLoop } from "./load.ts";
import type { Report } from "./report.ts";
import { createBenchEnvironment, createUsers, IN_FLIGHT, openInstance, spendOf } from "./world.ts";

const USERS = 1_000;
const OPERATIONS = process.env["FULL"] === "1" ? 1_000_000 : 100_000;
const STEPS = 10;
const MIB = 1024 * 1024;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** Measures ledger.memory: the ratio of the memory held at the end to that after the first tenth. */
export async function benchMemory(report: Report): Promise<void> {
  const place = (await createBenchEnvironment("mysql")) ?? (await createBenchEnvironment("sqlite"));
  if (place === null) return;
  const instance = await openInstance(place);
  try {
    const users = await createUsers(instance, USERS);
    // A histogram rather than a list, so that the measurement itself does not grow.
    const nanoseconds = createHistogram();
    const held: number[] = [];
    const startedAt = performance.now();
    for (let step = 1; step <= STEPS; step += 1) {
      let left = OPERATIONS / STEPS;
      const loop = {
        inFlight: IN_FLIGHT,
        shouldContinue: () => left-- > 0,
        work: () => instance.ledger.submit(spendOf(users[Math.floor(Math.random() * USERS)] ?? "")),
      };
      await recordLoop(loop, (ms) => nanoseconds.record(Math.round(ms * 1e6)));
      collectGarbage();
      const { heapUsed, external } = process.memoryUsage();
      held.push((heapUsed + external) / MIB);
      report.say(
        `ledger.memory: ${held.at(-1)?.toFixed(1)} MiB after ${(OPERATIONS / STEPS) * step}`,
      );
    }
    const seconds = (performance.now() - startedAt) / 1000;
    report.add(
      "ledger.memory",
      {
        opsPerSecond: OPERATIONS / seconds,
        p50Ms: nanoseconds.percentile(50) / 1e6,
        p99Ms: nanoseconds.percentile(99) / 1e6,
      },
      (held.at(-1) ?? 0) / (held[0] ?? 1),
      `memory held after ${OPERATIONS} operations, less is better`,
    );
  } finally {
    await instance.close();
    await place.drop();
  }
}
