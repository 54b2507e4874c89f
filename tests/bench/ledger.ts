// The rows of the ledger's speed against the seed's algorithm, on the same database and in the same run.
import { closedLoop, inTurns } from "./load.ts";
import type { Report } from "./report.ts";
import { createSeedBaseline } from "./seed-baseline.ts";
import {
  createBenchEnvironment,
  createUsers,
  IN_FLIGHT,
  type Instance,
  openInstance,
  spendOf,
} from "./world.ts";

const USERS = 1_000;

/** Measures ledger.uniform, ledger.hot and a single caller, each against baseline.seed. */
export async function benchLedger(report: Report, seconds: number): Promise<void> {
  const place = await createBenchEnvironment("mysql");
  if (place === null) return report.say("ledger: no MySQL or MariaDB answers here");
  const instance = await openInstance(place);
  const seed = createSeedBaseline(place);
  try {
    // The baseline has separate users: it does not know lots, so it would leave them inconsistent.
    const ours = await createUsers(instance, USERS + 1);
    const theirs = await createUsers(instance, USERS + 1);
    const any = (ids: readonly string[]) => ids[1 + Math.floor(Math.random() * USERS)] ?? "";
    const hot = (ids: readonly string[]) => ids[0] ?? "";

    const cases = [
      { name: "uniform", who: any, inFlight: IN_FLIGHT },
      { name: "hot", who: hot, inFlight: IN_FLIGHT },
      { name: "alone", who: any, inFlight: 1 },
    ];
    report.say(`ledger: ${await describeStore(instance)}`);
    for (const { name, who, inFlight } of cases) {
      const spend = () => instance.ledger.submit(spendOf(who(ours)));
      const warmUp = { inFlight, seconds: Math.min(1, seconds) };
      await closedLoop({ ...warmUp, work: spend });
      await closedLoop({ ...warmUp, work: () => seed.spend(who(theirs)) });
      const [base, mine] = await inTurns(
        () => closedLoop({ inFlight, seconds, work: () => seed.spend(who(theirs)) }),
        () => closedLoop({ inFlight, seconds, work: spend }),
      );
      report.add(name === "uniform" ? "baseline.seed" : `baseline.seed.${name}`, base, null);
      const ratio =
        name === "alone" ? mine.p50Ms / base.p50Ms : mine.opsPerSecond / base.opsPerSecond;
      const note = name === "alone" ? "latency, less is better" : "throughput, more is better";
      report.add(`ledger.${name}`, mine, ratio, note);
    }
    report.say(`ledger: ${await describeStore(instance)}`);
  } finally {
    await seed.close();
    await instance.close();
    await place.drop();
  }
}

/** Describes how much there is to search, and how much of it fits into the server's memory. */
async function describeStore({ backend }: Instance): Promise<string> {
  const { models } = backend.database;
  const [pool] = await models.$queryRawUnsafe<{ bytes: bigint | number }[]>(
    "SELECT @@innodb_buffer_pool_size AS bytes",
  );
  const rows = await models.creditLog.count();
  return `${rows} log rows; a buffer pool of ${Math.round(Number(pool?.bytes) / 1_048_576)} MiB`;
}
