// The row of the embedded database: our lane against one Prisma transaction per spend, both with synchronous=FULL.
import { randomUUID } from "node:crypto";
import { closedLoop, type Measured, middle } from "./load.ts";
import type { Report } from "./report.ts";
import { createPlace, createUsers, IN_FLIGHT, openInstance, spendOf } from "./world.ts";

const USERS = 1_000;

/** embedded.spend against baseline.embedded. */
export async function benchEmbedded(report: Report, seconds: number): Promise<void> {
  const place = await createPlace("sqlite");
  if (place === null) return;
  const instance = await openInstance(place);
  try {
    const ours = await createUsers(instance, USERS);
    const theirs = await createUsers(instance, USERS);
    const any = (ids: readonly string[]) => ids[Math.floor(Math.random() * USERS)] ?? "";
    const { database } = instance.backend;
    const naive = () =>
      database.transaction(async ({ models }) => {
        const id = any(theirs);
        const user = await models.user.findUniqueOrThrow({ where: { id } });
        const balance = user.credits - 1;
        const seq = user.ledgerSeq + 1;
        const row = { userId: id, feature: "chat-flash", createdAt: new Date() };
        await models.user.update({ where: { id }, data: { credits: balance, ledgerSeq: seq } });
        await models.creditLog.create({
          data: { ...row, id: randomUUID(), seq, amount: -1, balance, type: "USAGE" },
        });
        await models.usageLog.create({ data: { ...row, id: randomUUID(), credits: 1 } });
      });
    const spend = () => instance.ledger.submit(spendOf(any(ours)));
    const baseline: Measured[] = [];
    const measured: Measured[] = [];
    for (let round = 0; round < 3; round += 1) {
      baseline.push(await closedLoop({ inFlight: IN_FLIGHT, seconds, work: naive }));
      measured.push(await closedLoop({ inFlight: IN_FLIGHT, seconds, work: spend }));
    }
    const base = middle(baseline);
    const mine = middle(measured);
    report.add("baseline.embedded", base, null);
    report.add("embedded.spend", mine, mine.opsPerSecond / base.opsPerSecond, "throughput");
  } finally {
    await instance.close();
    await place.drop();
  }
}
