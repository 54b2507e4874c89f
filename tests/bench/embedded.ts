// The row of the embedded database: our writer against one Prisma transaction per spend, both with synchronous=FULL.
import { closedLoop, inTurns } from "./load.ts";
import type { Report } from "./report.ts";
import { spendByRows } from "./seed-baseline.ts";
import { createBenchEnvironment, createUsers, IN_FLIGHT, openInstance, spendOf } from "./world.ts";

const USERS = 1_000;

/** Measures embedded.spend against baseline.embedded. */
export async function benchEmbedded(report: Report, seconds: number): Promise<void> {
  const place = await createBenchEnvironment("sqlite");
  if (place === null) return;
  const instance = await openInstance(place);
  try {
    const ours = await createUsers(instance, USERS);
    const theirs = await createUsers(instance, USERS);
    const any = (ids: readonly string[]) => ids[Math.floor(Math.random() * USERS)] ?? "";
    const { database } = instance.backend;
    const naive = () => database.transaction(({ models }) => spendByRows(models, any(theirs)));
    const spend = () => instance.ledger.submit(spendOf(any(ours)));
    const [base, mine] = await inTurns(
      () => closedLoop({ inFlight: IN_FLIGHT, seconds, work: naive }),
      () => closedLoop({ inFlight: IN_FLIGHT, seconds, work: spend }),
    );
    report.add("baseline.embedded", base, null);
    report.add("embedded.spend", mine, mine.opsPerSecond / base.opsPerSecond, "throughput");
  } finally {
    await instance.close();
    await place.drop();
  }
}
