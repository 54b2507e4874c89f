// How the batching writer behaves when something goes wrong: nothing is lost, nothing happens twice, nothing hangs.
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { Locks } from "../../../server/kv/ports.ts";
import type { Database, SqlSession } from "../../../server/database/ports.ts";
import type { LedgerOperation } from "../../../server/ledger/ports.ts";
import { UnknownOutcomeError } from "../../../server/database/errors.ts";
import { available } from "../../support/backend.ts";
import { ledgerWith } from "../../support/another-ledger.ts";
import { auditRows } from "../../support/ledger-audit.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useTestApp } from "../../support/use-app.ts";
import { codeOf } from "../../support/code-of.ts";
import { grant, reserve, spend } from "../../support/operations.ts";
import { deferred } from "../../support/deferred.ts";

/** A database whose raw transactions go through `wrap`. */
function around(
  database: Database,
  wrap: (run: () => Promise<unknown>, index: number) => Promise<unknown>,
  session: (session: SqlSession) => SqlSession = (same) => same,
): Database {
  let transactions = 0;
  return {
    ...database,
    rawTransaction: <T>(work: (session: SqlSession) => Promise<T>) =>
      wrap(
        () => database.rawTransaction((inner) => work(session(inner))),
        transactions++,
      ) as Promise<T>,
  };
}

const OPEN_LOCKS: Locks = {
  acquire: (keys) => Promise.resolve({ acquired: new Set(keys), release: () => Promise.resolve() }),
};

describe("the writer", () => {
  const world = useTestApp({ available, clock: createTestClock("stepping") });

  const credits = async (userId: string) => {
    const user = await world.models.user.findUniqueOrThrow({
      where: { id: userId },
    });
    return user.credits;
  };

  test("a poisoned operation fails alone", async () => {
    const database = around(
      world.backend.database,
      (run) => run(),
      (session) => ({
        ...session,
        execute(sql, params) {
          if (params.some((value) => String(value).includes("poison")))
            throw new Error("Incorrect string value");
          return session.execute(sql, params);
        },
      }),
    );
    const ledger = ledgerWith(world, { database });
    const userId = await world.createUser(100);
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        codeOf(ledger.submit(spend(userId, i === 7 ? "poison" : `p${i}`))),
      ),
    );
    expect(outcomes.filter((word) => word === "OK").length).toBe(19);
    expect(outcomes[7]).toBe("INTERNAL");
    expect(await credits(userId)).toBe(81);
    expect(await auditRows(world.models)).toEqual([]);
  });

  test("what is longer than its column or not well-formed text is refused or mended, never cut in silence", async () => {
    const userId = await world.createUser(10);
    const grant = {
      kind: "grant" as const,
      userId,
      amountCredits: 5,
      source: "PURCHASE" as const,
      grantKey: `long:${userId}`,
      expiresAt: null,
      description: `${"é🐟".repeat(400)}\ud800`,
    };
    const long = "x".repeat(300);
    expect(await codeOf(world.ledger.submit({ ...grant, sourceId: long }))).toBe(
      "VALIDATION_FAILED",
    );
    const release = world.ledger.submit({ kind: "release", userId, holdId: "x".repeat(37) });
    expect(await codeOf(release)).toBe("VALIDATION_FAILED");
    expect(await codeOf(world.ledger.submit({ ...grant, sourceId: "cs_1" }))).toBe("OK");
    const [log] = await world.models.creditLog.findMany({
      where: { userId, type: "PURCHASE" },
    });
    expect(log?.description?.startsWith("é🐟é🐟")).toBe(true);
    expect(await auditRows(world.models)).toEqual([]);
  });

  test("a spend over thousands of lots keeps the whole of its lineage", async () => {
    const userId = await world.createUser();
    const ledger = ledgerWith(world, { limits: { deadlineMs: 60_000 } });
    const lots = 2_500;
    await Promise.all(
      Array.from({ length: lots }, (_, i) =>
        ledger.submit(grant(userId, `many:${userId}:${i}`, 1)),
      ),
    );
    await ledger.submit({ ...spend(userId, "all"), amountCredits: lots });
    const log = await world.models.creditLog.findFirstOrThrow({
      where: { userId, type: "USAGE" },
    });
    expect((JSON.parse(log.lots ?? "[]") as unknown[]).length).toBe(lots);
    expect(await credits(userId)).toBe(0);
  });

  test("a conflict is tried again a bounded number of times, then returns SERVICE_UNAVAILABLE", async () => {
    let failures = 3;
    const deadlock = () => Object.assign(new Error("Deadlock found"), { errno: 1213 });
    const database = around(world.backend.database, (run) =>
      failures-- > 0 ? Promise.reject(deadlock()) : run(),
    );
    const userId = await world.createUser(10);
    const ledger = ledgerWith(world, { database });
    expect(await codeOf(ledger.submit(spend(userId, "c1")))).toBe("OK");
    failures = Number.POSITIVE_INFINITY;
    expect(await codeOf(ledger.submit(spend(userId, "c2")))).toBe("SERVICE_UNAVAILABLE");
    expect(await credits(userId)).toBe(9);
  });

  test.each([
    ["committed", true],
    ["rolled back", false],
  ])("an unknown outcome that was %s is resolved by what is stored", async (_, committed) => {
    const lost = new Set<number>();
    const database = around(world.backend.database, async (run, index) => {
      // Every first attempt of a batch loses its connection at COMMIT.
      if (index % 2 === 1) return run();
      lost.add(index);
      if (committed) await run();
      throw new UnknownOutcomeError(new Error("ECONNRESET"));
    });
    let announced = 0;
    const publish = () => Promise.resolve(void (announced += 1));
    const { submit } = ledgerWith(world, {
      database,
      pubsub: { ...world.backend.pubsub, publish },
    });
    const ledger = {
      // Also if it was the first, unanswered attempt that made the change.
      submit: (async (operation: LedgerOperation) => {
        announced = 0;
        const result = await submit(operation);
        expect(announced, operation.kind).toBe(1);
        return result;
      }) as typeof submit,
    };
    const userId = await world.createUser(100);
    const before = await ledger.submit(spend(userId, "u1"));
    expect(before).toMatchObject({ replayed: false, credits: 99 });
    const hold = await ledger.submit(reserve(userId, "u2", 20, { ttlSeconds: 60 }));
    expect(hold).toMatchObject({ replayed: false, held: 20 });
    const settled = await ledger.submit({
      kind: "settle",
      userId,
      holdId: hold.holdId,
      amountCredits: 5,
    });
    expect(settled).toMatchObject({ amountCredits: 5, credits: 94, held: 0 });
    const second = await ledger.submit(reserve(userId, "u3", 20, { ttlSeconds: 60 }));
    await ledger.submit({ kind: "release", userId, holdId: second.holdId });
    const granted = await ledger.submit(grant(userId, `unknown:${userId}`, 6));
    expect(granted).toMatchObject({ replayed: false, credits: 100 });
    expect(await ledger.submit(spend(userId, "u1"))).toMatchObject({
      replayed: true,
      transactionId: before.transactionId,
    });
    expect(lost.size).toBeGreaterThan(4);
    expect(await credits(userId)).toBe(100);
    expect(await auditRows(world.models)).toEqual([]);
  });

  test("the books stay right when locks are lost or away, and when a store fails", async () => {
    const broken: Locks = { acquire: () => Promise.reject(new Error("Redis is away")) };
    const ledgers = [
      ledgerWith(world, { locks: OPEN_LOCKS }),
      ledgerWith(world, { locks: OPEN_LOCKS }),
      ledgerWith(world, { locks: broken }),
    ];
    const userId = await world.createUser(30);
    const outcomes = await Promise.all(
      Array.from({ length: 90 }, (_, i) =>
        codeOf(ledgers[i % 3]?.submit(spend(userId, `l${i}`)) ?? Promise.reject(new Error())),
      ),
    );
    expect(outcomes.filter((word) => word === "OK").length).toBe(30);
    expect(await auditRows(world.models)).toEqual([]);
  });

  test("a user locked elsewhere waits without failing, in order, and holds nobody up", async () => {
    const lockedId = await world.createUser(10);
    const freeId = await world.createUser(10);
    let locked = true;
    const locks: Locks = {
      acquire: (keys) =>
        Promise.resolve({
          acquired: new Set(keys.filter((key) => !locked || !key.includes(lockedId))),
          release: () => Promise.resolve(),
        }),
    };
    const ledger = ledgerWith(world, { locks, limits: { lockPatienceMs: 60_000 } });
    const order: string[] = [];
    const note = (name: string) => () => order.push(name);
    const late = [
      ledger.submit(spend(lockedId, "w1")).then(note("locked 1")),
      ledger.submit(spend(lockedId, "w2")).then(note("locked 2")),
    ];
    await ledger.submit(spend(freeId, "w3")).then(note("free"));
    await sleep(50);
    locked = false;
    await Promise.all(late);
    expect(order).toEqual(["free", "locked 1", "locked 2"]);
  });

  test("a lock that is never given back starves nobody", async () => {
    const userId = await world.createUser(10);
    const locks: Locks = {
      acquire: () =>
        Promise.resolve({ acquired: new Set<string>(), release: () => Promise.resolve() }),
    };
    const ledger = ledgerWith(world, { locks });
    expect(await codeOf(ledger.submit(spend(userId, "s1")))).toBe("OK");
  });

  test("a full queue refuses with SERVICE_UNAVAILABLE, and nothing of it happens", async () => {
    const ledger = ledgerWith(world, { limits: { queueSize: 50, batchSize: 10 } });
    const userId = await world.createUser(1_000);
    const outcomes = await Promise.all(
      Array.from({ length: 80 }, (_, i) => codeOf(ledger.submit(spend(userId, `q${i}`)))),
    );
    const done = outcomes.filter((word) => word === "OK").length;
    expect(done).toBeGreaterThanOrEqual(50);
    expect(outcomes.filter((word) => word === "SERVICE_UNAVAILABLE").length).toBe(80 - done);
    expect(await credits(userId)).toBe(1_000 - done);
  });

  test("a database that hangs makes callers fail at the deadline", async () => {
    const { promise: hanging, resolve: hang } = deferred();
    const database = around(world.backend.database, async (run) => {
      await hanging;
      return run();
    });
    const ledger = ledgerWith(world, { database, limits: { deadlineMs: 300 } });
    const userId = await world.createUser(10);
    const first = codeOf(ledger.submit(spend(userId, "d1")));
    await sleep(10);
    const second = codeOf(ledger.submit(spend(userId, "d2")));
    expect(await Promise.all([first, second])).toEqual([
      "SERVICE_UNAVAILABLE",
      "SERVICE_UNAVAILABLE",
    ]);
    hang();
    await ledger.close();
    // The first operation's outcome was unknown when it was answered; a retry with its key reveals it.
    expect(await world.ledger.submit(spend(userId, "d1"))).toMatchObject({ amountCredits: 1 });
    expect(await credits(userId)).toBe(9);
  });

  test("runs two batches at once, never both of one user, and each user's operations in their order", async () => {
    const users = await Promise.all(Array.from({ length: 50 }, () => world.createUser(10)));
    const locked: string[][] = [];
    let mostAtOnce = 0;
    let twice: string[] = [];
    let come = (): void => undefined;
    const second = new Promise<void>((resolve) => (come = resolve));
    let batches = 0;
    const locks: Locks = {
      async acquire(keys) {
        const mine = [...keys];
        locked.push(mine);
        mostAtOnce = Math.max(mostAtOnce, locked.length);
        twice = [...twice, ...locked.flat().filter((key, i, all) => all.indexOf(key) !== i)];
        batches += 1;
        if (batches === 1) await second;
        else come();
        // Long enough for another batch to start alongside, if it could.
        await sleep(5);
        const release = () => Promise.resolve(void locked.splice(locked.indexOf(mine), 1));
        return { acquired: new Set(keys), release };
      },
    };
    const ledger = ledgerWith(world, { locks, limits: { batches: 2 } });
    const left = await Promise.all(
      users.map((userId) =>
        Promise.all(
          ["a", "b", "c"].map(async (key) => (await ledger.submit(spend(userId, key))).credits),
        ),
      ),
    );
    expect(left).toEqual(users.map(() => [9, 8, 7]));
    expect(mostAtOnce).toBe(2);
    expect(twice).toEqual([]);
    expect(await auditRows(world.models)).toEqual([]);
  });

  test("shares the operations of many users between two batches, not each user's own", async () => {
    const users = await Promise.all(Array.from({ length: 32 }, () => world.createUser(10)));
    let transactions = 0;
    const database = around(world.backend.database, (run, index) => {
      transactions = index + 1;
      return run();
    });
    const ledger = ledgerWith(world, { database, limits: { batches: 2 } });
    const keys = ["1", "2", "3", "4", "5", "6", "7", "8"];
    await Promise.all(
      users.flatMap((userId) => keys.map((key) => ledger.submit(spend(userId, key)))),
    );
    expect(transactions).toBe(2);
  });

  test("a batch that hangs holds nobody else up, few or many, while a second one may run", async () => {
    const [stuckId = "", ...others] = await Promise.all(
      Array.from({ length: 40 }, () => world.createUser(10)),
    );
    const { promise: hanging, resolve: letGo } = deferred();
    const database = around(world.backend.database, (run, index) =>
      index === 0 ? hanging.then(run) : run(),
    );
    const ledger = ledgerWith(world, { database, limits: { batches: 2, deadlineMs: 60_000 } });
    const stuck = ledger.submit(spend(stuckId, "first"));
    await sleep(10);
    const behindIt = ledger.submit(spend(stuckId, "second"));
    const [one = "", ...many] = others;
    await ledger.submit(spend(one, "alone"));
    await Promise.all(many.map((userId) => ledger.submit(spend(userId, "together"))));
    letGo();
    expect([(await stuck).credits, (await behindIt).credits]).toEqual([9, 8]);
  });

  test("closing finishes what is queued and takes nothing more", async () => {
    const ledger = ledgerWith(world, { limits: { batchSize: 7 } });
    const userId = await world.createUser(100);
    const waiting = Array.from({ length: 60 }, (_, i) =>
      codeOf(ledger.submit(spend(userId, `z${i}`))),
    );
    await ledger.close();
    expect(await codeOf(ledger.submit(spend(userId, "late")))).toBe("SERVICE_UNAVAILABLE");
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(["OK"]));
    expect(await credits(userId)).toBe(40);
  });
});
