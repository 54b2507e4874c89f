// The row start.cold: from the start of the process until /health answers 200.
import { buildServer } from "./built.ts";
import { startServer } from "./child.ts";
import { productionEnv } from "./production.ts";
import { summarise } from "./load.ts";
import type { Report } from "./report.ts";
import { createBenchEnvironment, openInstance } from "./world.ts";

const ROUNDS = 7;
const BARE = `require("node:http").createServer((request, response) => {
  response.end("{}");
}).listen(Number(process.env.PORT), "127.0.0.1")`;

/** Measures start.cold against a bare node:http server started and polled alike. The database is already migrated. */
export async function benchStart(report: Report): Promise<void> {
  const place = (await createBenchEnvironment("mysql")) ?? (await createBenchEnvironment("sqlite"));
  if (place === null) return report.say("start: no database");
  const built = buildServer();
  try {
    // Applies the migrations: a first start is rare, a restart is not.
    await (await openInstance(place)).close();
    const env = productionEnv(place);
    const bareMs: number[] = [];
    const coldMs: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      bareMs.push(await startOnce(["-e", BARE], {}));
      coldMs.push(await startOnce([built.file("server/main")], env));
    }
    // Starts are sequential, so the rate follows from the median.
    const bare = summarise(bareMs);
    const cold = summarise(coldMs);
    const rated = (of: typeof cold) => ({ ...of, opsPerSecond: 1000 / of.p50Ms });
    report.add("start.bare", rated(bare), null);
    const ratio = cold.p50Ms / bare.p50Ms;
    report.add("start.cold", rated(cold), ratio, "time, less is better; against a bare server");
  } finally {
    built.drop();
    await place.drop();
  }
}

/** Returns the milliseconds from spawning to the first 200 of /health. */
async function startOnce(
  nodeArguments: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<number> {
  const server = await startServer(nodeArguments, env, { path: "/health", everyMs: 2 });
  // Its database is temporary, so it need not stop gracefully.
  await server.kill();
  return server.tookMs;
}
