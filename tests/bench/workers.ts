// The row scale.workers: the same spends over HTTP with two workers behind the port and with one.
import { availableParallelism } from "node:os";
import { openHttpStage } from "./http-stage.ts";
import { type Measured, middle } from "./load.ts";
import type { Report } from "./report.ts";
import { IN_FLIGHT } from "./world.ts";

const USERS = 1_000;
const ROUNDS = 3;

/** Measures scale.workers. Workers need MySQL or MariaDB, and Redis. */
export async function benchWorkers(report: Report, seconds: number): Promise<void> {
  const stage = await openHttpStage();
  if (stage === null) return;
  try {
    if (!stage.usesMysql || !stage.usesRedis)
      return report.say("scale.workers: needs MySQL or MariaDB, and Redis");
    const tokens = await stage.signIn(USERS);
    const measure = async (workers: number): Promise<Measured> => {
      const server = await stage.startServer({ WORKERS: String(workers) });
      const runs: Measured[] = [];
      for (let round = 0; round <= ROUNDS; round += 1) {
        const load = { port: server.port, tokens, inFlight: IN_FLIGHT, seconds: seconds / 2 };
        const answer = await stage.spends(load);
        if (round > 0) runs.push(answer);
      }
      await server.stop();
      return middle(runs);
    };
    const [one, two] = [await measure(1), await measure(2)];
    report.add("scale.workers.one", one, null);
    const cores = availableParallelism();
    const enough =
      cores < 4 ? `; ${cores} cores for workers, database, Redis and callers show no gain` : "";
    report.add("scale.workers", two, two.opsPerSecond / one.opsPerSecond, `2 workers${enough}`);
  } finally {
    await stage.close();
  }
}
