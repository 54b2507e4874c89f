// The baseline: the seed project's algorithm, written anew from the seven steps in its README, as fairly as we can.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { PrismaMariaDb } from "@prisma/adapter-mariadb";
import { Redis } from "ioredis";
import { PrismaClient } from "../../prisma/generated/mysql/client.ts";
import type { PrismaModels } from "../../server/database/ports.ts";
import type { Place } from "./world.ts";

const RELEASE = `if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) end return 0`;
const LOCK_MS = 5_000;
const LONGEST_WAIT_MS = 4;

/**
 * Spends one credit by the seed's algorithm: 1 take the user's Redis lock (SET NX PX with a token), 2 begin a Prisma
 * transaction, 3 read the user, 4 check, 5 update, 6 insert the credit log and the usage log, 7 commit and release the
 * lock (compare-and-delete in Lua). Where the seed fails to get the lock, this waits for it, and it also writes the
 * columns that this schema adds, so that both do the same work.
 */
export function createSeedBaseline(place: Place) {
  const prisma = openPrisma(place);
  const redis = new Redis(place.redisUrl ?? "redis://127.0.0.1:6379");
  return {
    async spend(userId: string) {
      const key = `${place.keyPrefix}:seed-lock:${userId}`;
      const token = randomUUID();
      while ((await redis.set(key, token, "PX", LOCK_MS, "NX")) !== "OK")
        await sleep(1 + Math.random() * LONGEST_WAIT_MS);
      try {
        await prisma.$transaction((models) => spendByRows(models, userId));
      } finally {
        await redis.eval(RELEASE, 1, key, token);
      }
    },
    async close() {
      await redis.quit();
      await prisma.$disconnect();
    },
  };
}

/** Steps 3 to 6: spends one credit of a user with a transaction's models. */
export async function spendByRows(
  models: Pick<PrismaModels, "user" | "creditLog" | "usageLog">,
  id: string,
): Promise<void> {
  const user = await models.user.findUniqueOrThrow({ where: { id } });
  if (user.credits < 1) throw new Error("insufficient credits");
  const balance = user.credits - 1;
  const seq = user.ledgerSeq + 1;
  const row = { userId: id, feature: "chat-flash", createdAt: new Date() };
  await models.user.update({ where: { id }, data: { credits: balance, ledgerSeq: seq } });
  await models.creditLog.create({
    data: { ...row, id: randomUUID(), seq, amount: -1, balance, type: "USAGE" },
  });
  await models.usageLog.create({ data: { ...row, id: randomUUID(), credits: 1 } });
}

/** Opens a separate client with more connections and longer timeouts than ours, so that no setting of ours slows it. */
function openPrisma(place: Place): PrismaClient {
  const url = new URL(place.databaseUrl);
  const adapter = new PrismaMariaDb({
    host: url.hostname,
    port: Number(url.port || 3306),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: url.pathname.slice(1),
    connectionLimit: 20,
    minimumIdle: 20,
    acquireTimeout: 60_000,
  });
  return new PrismaClient({ adapter, transactionOptions: { maxWait: 60_000, timeout: 60_000 } });
}
