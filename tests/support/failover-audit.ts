// Compares the recorded answers of a load with what the database holds in the end.
import type { Backend } from "../../server/infrastructure.ts";
import { auditWholeLedger } from "../../server/ledger/audit/audit.ts";
import type { Book, FailoverLoad } from "./failover-load.ts";
import { eachOf } from "./seeded-random.ts";
import { openAt } from "./databases.ts";

/**
 * Compares, retries every key in doubt through the server, and compares again. The load must have been stopped. Each
 * entry in `broken` is a broken promise.
 */
export async function auditFailover(load: FailoverLoad, databaseUrl: string) {
  const backend = await openAt(databaseUrl);
  try {
    const { spends } = load.book;
    const broken: string[] = [...load.book.wrong];
    const before = await entriesByKey(backend, load.book, broken);
    const doubtful = [...spends].filter(([, { transactionId }]) => transactionId === null);
    const lost = [...spends].filter(
      ([key, { transactionId }]) =>
        transactionId !== null && before.get(key)?.includes(transactionId) !== true,
    );
    for (const [key] of lost) broken.push(`${key} was acknowledged and is not there`);

    await eachOf(doubtful, 16, async ([key, asked]) => {
      const answer = await load.spend(key, asked.user);
      const known = before.get(key)?.[0];
      if (answer === null) broken.push(`${key} cannot be repeated`);
      else if (answer.replayed !== (known !== undefined))
        broken.push(`${key} answers replayed: ${answer.replayed}, but was there: ${known ?? "no"}`);
      else if (known !== undefined && known !== answer.transactionId)
        broken.push(`${key} answers another transaction than the one that is there`);
    });
    const after = await entriesByKey(backend, load.book, broken);
    for (const key of spends.keys()) {
      const count = after.get(key)?.length ?? 0;
      if (count !== 1) broken.push(`${key} is there ${count} times`);
    }
    await compareHolds(backend, load.book, broken);
    await compareNames(backend, load.book, broken);
    for (const violation of await auditWholeLedger({ database: backend.database }))
      broken.push(`doctor: ${JSON.stringify(violation)}`);
    return {
      acknowledged: spends.size - doubtful.length,
      inDoubt: doubtful.length,
      /** How many of those in doubt had taken effect. */
      inDoubtThere: doubtful.filter(([key]) => before.has(key)).length,
      lost: lost.length,
      broken,
    };
  } finally {
    await backend.close();
  }
}

/** Returns the ids of the entries made for each key; an entry stores its key in its metadata. */
async function entriesByKey(
  { database }: Backend,
  { spends }: Book,
  broken: string[],
): Promise<Map<string, string[]>> {
  const rows = await database.models.creditLog.findMany({
    where: { type: "USAGE", sourceId: null },
    select: { id: true, userId: true, metadata: true },
  });
  const found = new Map<string, string[]>();
  for (const { id, userId, metadata } of rows) {
    const { key } = JSON.parse(metadata ?? "{}") as { key?: string };
    if (key === undefined || spends.get(key)?.user.userId !== userId)
      broken.push(`the entry ${id} was never asked for`);
    else found.set(key, [...(found.get(key) ?? []), id]);
  }
  return found;
}

async function compareHolds({ database }: Backend, { holds }: Book, broken: string[]) {
  const rows = new Map((await database.models.creditHold.findMany()).map((row) => [row.id, row]));
  for (const [key, { holdId, settled }] of holds) {
    if (holdId === null) continue;
    const status = rows.get(holdId)?.status ?? "missing";
    const fits = {
      no: status === "ACTIVE",
      perhaps: status === "ACTIVE" || status === "SETTLED",
      yes: status === "SETTLED",
    }[settled];
    if (!fits) broken.push(`${key} is ${status}, and its settlement was answered: ${settled}`);
  }
  const keys = [...rows.values()].map(({ idempotencyKey }) => idempotencyKey);
  if (new Set(keys).size !== keys.length) broken.push("a key made two holds");
}

async function compareNames({ database }: Backend, { names }: Book, broken: string[]) {
  for (const { id, name } of await database.models.user.findMany()) {
    const acknowledged = names.get(id);
    const stored = Number(/^Name (\d+)$/.exec(name ?? "")?.[1] ?? 0);
    if (acknowledged !== undefined && stored < acknowledged)
      broken.push(`${id} is called ${name}, after Name ${acknowledged} was acknowledged`);
  }
}
