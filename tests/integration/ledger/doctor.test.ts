// The doctor accepts a busy, healthy ledger, and finds and names every kind of damage.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, test } from "vitest";
import { auditLedger, auditWholeLedger } from "../../../server/ledger/audit/audit.ts";
import { createAuditStore } from "../../../server/ledger/audit/audit.store.ts";
import { available } from "../../support/backend.ts";
import { DAMAGES } from "../../support/ledger-damages.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useTestApp } from "../../support/use-app.ts";
import { grant, rawKey, reserve, spend } from "../../support/operations.ts";

const at = new Date();

describe("the doctor", () => {
  const world = useTestApp({ available, clock: createTestClock("stepping") });
  let userId: string;

  /** Reads three rows at a time, so that no user's entries arrive in one piece. */
  const diagnose = () =>
    auditWholeLedger({ database: world.backend.database, usersPerStep: 2, rowsPerRead: 3 });
  /** Audits as `npm run doctor` does with large books: what has been proven is not read again. */
  const goOn = (now = Date.now) =>
    auditLedger({
      database: world.backend.database,
      usersPerStep: 2,
      whole: false,
      smallEntries: 0,
      now,
    });

  /** Creates a user with one of everything: spends, holds that ended in each way, an active hold, a payment. */
  async function busyUser(): Promise<string> {
    const id = await world.createUser(100);
    const { ledger } = world;
    const hold = (key: string) => ledger.submit(reserve(id, `svc:x:${key}`, 10));
    for (const n of [1, 2, 3]) await ledger.submit(spend(id, `user:${n}`, n));
    const [settled, released] = [await hold("a"), await hold("b"), await hold("c")];
    await ledger.submit({ kind: "settle", userId: id, holdId: settled.holdId, amountCredits: 4 });
    await ledger.submit({ kind: "release", userId: id, holdId: released.holdId });
    const paymentId = randomUUID();
    await world.backend.database.transaction(async (tx) => {
      await tx.models.payment.create({
        data: {
          id: paymentId,
          userId: id,
          amount: 500,
          currency: "usd",
          status: "SUCCESS",
          creditsPurchased: 50,
          createdAt: at,
          updatedAt: at,
        },
      });
      await ledger.applyIn(tx, [grant(id, `payment:${paymentId}`, 50, { sourceId: paymentId })]);
    });
    return id;
  }

  /** Deletes everything of the user, so that the next damage stands alone. */
  async function mend(): Promise<void> {
    const { models } = world;
    const where = { userId };
    await models.creditLog.deleteMany({ where });
    await models.creditGrant.deleteMany({ where });
    await models.creditHold.deleteMany({ where });
    await models.idempotencyKey.deleteMany({ where });
    await models.payment.deleteMany({ where });
    await models.subscription.deleteMany({ where });
    await models.ledgerCheckpoint.deleteMany({ where });
    await models.user.deleteMany({ where: { id: userId } });
  }

  const spendLater = (n: number) => world.ledger.submit(spend(userId, `user:later:${n}`));

  beforeEach(async () => {
    userId = await busyUser();
  });

  test("is content with a healthy ledger, cut holds and debt included", async () => {
    const poor = await world.createUser(10);
    await world.ledger.submit(reserve(poor, "svc:x:1", 10, { feature: null, priceVersion: null }));
    await world.ledger.submit({
      kind: "adjust",
      userId: poor,
      amountCredits: -25,
      actorId: "admin",
      reason: "Chargeback",
      idempotencyKey: rawKey("admin:1"),
      expiresAt: null,
    });
    const steps: number[] = [];
    const { database } = world.backend;
    const violations = await auditWholeLedger({
      database,
      usersPerStep: 1,
      onProgress: ({ users }) => steps.push(users),
    });
    expect(violations).toEqual([]);
    expect(steps.at(-1)).toBe(await database.models.user.count());
  });

  test.each(DAMAGES)("finds $what and names it", async ({ named, damage }) => {
    expect(await diagnose()).toEqual([]);
    await damage(world.backend.database, userId);
    const violations = await diagnose();
    expect(violations.map(({ invariant }) => invariant).join("\n")).toMatch(named);
    expect(new Set(violations.map((violation) => violation.userId))).toEqual(new Set([userId]));
    // Never recorded as proven: an audit that continues from what has been proven finds it every time.
    expect((await goOn()).violations).toEqual(violations);
    expect((await goOn()).violations).toEqual(violations);
    await mend();
  });

  test("reads what came since, counts what is proven, and says which is which", async () => {
    const { database } = world.backend;
    const { _sum } = await database.models.user.aggregate({ _sum: { ledgerSeq: true } });
    expect(await goOn()).toMatchObject({ violations: [] });
    const { since, ...report } = await goOn();
    expect(since).toBeInstanceOf(Date);
    expect(report).toMatchObject({ violations: [], provenNow: 0, provenEarlier: _sum.ledgerSeq });
    await spendLater(1);
    expect(await goOn()).toMatchObject({ provenNow: 1, provenEarlier: _sum.ledgerSeq });
    const whole = {
      violations: [],
      isCut: false,
      provenNow: (_sum.ledgerSeq ?? 0) + 1,
      provenEarlier: 0,
    };
    expect(await auditLedger({ database, whole: true })).toEqual({
      ...whole,
      users: await database.models.user.count(),
      since: null,
    });
    // Small books are always read whole, and after a week all books are.
    expect(await auditLedger({ database, whole: false })).toMatchObject(whole);
    expect(await goOn(() => Date.now() + 8 * 86_400_000)).toMatchObject(whole);
    await mend();
  });

  /** Damage inside proven entries, which are only counted; all other damage is found immediately. */
  const INSIDE_PROVEN = /changed entry|spend into debt|settle into debt/;

  test.each(DAMAGES)(
    "finds $what in proven books, at once or at the next whole proof",
    async ({ what, named, damage }) => {
      expect((await goOn()).violations).toEqual([]);
      await damage(world.backend.database, userId);
      const atOnce = (await goOn()).violations;
      expect(atOnce.length > 0).toBe(!INSIDE_PROVEN.test(what));
      expect((await diagnose()).map(({ invariant }) => invariant).join("\n")).toMatch(named);
      // The failed proof is discarded, so from now on every audit finds it.
      expect((await goOn()).violations.map(({ invariant }) => invariant).join("\n")).toMatch(named);
      await mend();
    },
  );

  test("long books among short ones are read to their end, however they are cut", async () => {
    for (let n = 0; n < 50; n += 1) await spendLater(n);
    const { database } = world.backend;
    const { models } = database;
    const users = await models.user.count();
    const { _sum } = await models.user.aggregate({ _sum: { ledgerSeq: true } });
    for (const [usersPerStep, rowsPerRead, concurrency] of [
      [1, 56, 2],
      [2, 7, 1],
      [3, 1, 3],
      [500, 19, 2],
      [500, 5_000, 1],
    ] as const) {
      const sizes = { usersPerStep, rowsPerRead, concurrency };
      const report = await auditLedger({ database, whole: true, ...sizes });
      expect(report).toMatchObject({ violations: [], users, provenNow: _sum.ledgerSeq });
      expect(await models.ledgerCheckpoint.count()).toBe(users);
      const where = { userId_seq: { userId, seq: 40 } };
      await models.creditLog.update({ where, data: { amount: -2 } });
      const found = await auditWholeLedger({ database, ...sizes });
      expect(found.map((one) => one.userId)).toContain(userId);
      expect(found.map(({ invariant }) => invariant).join("\n")).toMatch(/the one before it/);
      await models.creditLog.update({ where, data: { amount: -1 } });
    }
    await mend();
  });

  /** The database, with statements that match `like` slowed by 20 ms. `onRead` gets the row count of each result. */
  function slowDatabase(like: RegExp, onRead: (rows: number) => void = () => undefined) {
    const { database } = world.backend;
    const reads: { readonly rows: number; readonly fromMs: number; readonly toMs: number }[] = [];
    const slow: typeof database = {
      ...database,
      async read<Row>(sql: string, params: readonly unknown[]) {
        if (!like.test(sql)) return database.read<Row>(sql, params);
        const fromMs = performance.now();
        const rows = await database.read<Row>(sql, params);
        await sleep(20);
        reads.push({ rows: rows.length, fromMs, toMs: performance.now() });
        onRead(rows.length);
        return rows;
      },
    };
    /** For each read of that many rows or more: how long it took, and the pause before the next one. */
    const gaps = (leastRows: number) =>
      reads.flatMap(({ rows, fromMs, toMs }, n) => {
        const next = reads[n + 1];
        return next === undefined || rows < leastRows
          ? []
          : [{ tookMs: toMs - fromMs, restedMs: next.fromMs - toMs }];
      });
    return { slow, reads, gaps };
  }

  test.each([
    ["pages of one user's entries", / AS kind/, 7],
    ["pages of one user's keys", /, answer/, 7],
    ["exact statements about one user", /\(SELECT (?:l\.)?\* FROM/, 0],
  ])("rests between the %s where it is paced, and only there", async (_, like, leastRows) => {
    for (let n = 0; n < 30; n += 1) await spendLater(n);
    const where = { userId_seq: { userId, seq: 10 } };
    await world.models.creditLog.update({ where, data: { amount: -2 } });
    const settings = { whole: true, rowsPerRead: 7 };
    const paced = slowDatabase(like);
    await auditLedger({ database: paced.slow, ...settings, pauseRatio: 2 });
    // At least twice the time, allowing for timers that fire a millisecond early.
    const rested = ({ tookMs, restedMs }: { tookMs: number; restedMs: number }) =>
      restedMs > 2 * tookMs - 1.5;
    expect(paced.gaps(leastRows).length).toBeGreaterThan(3);
    expect(paced.gaps(leastRows).filter((gap) => !rested(gap))).toEqual([]);
    const unpaced = slowDatabase(like);
    await auditLedger({ database: unpaced.slow, ...settings });
    expect(unpaced.gaps(leastRows).some((gap) => !rested(gap))).toBe(true);
    await mend();
  });

  test("breaks off between the pages of one user when it is told to stop", async () => {
    for (let n = 0; n < 30; n += 1) await spendLater(n);
    const stop = new AbortController();
    const { slow, reads } = slowDatabase(/e\.seq > \?/, (rows) => rows === 7 && stop.abort());
    const settings = { whole: true, rowsPerRead: 7, pauseRatio: 2, signal: stop.signal };
    await expect(auditLedger({ database: slow, ...settings })).rejects.toThrow();
    expect(reads.filter(({ rows }) => rows === 7)).toEqual(reads.slice(-1));
    await mend();
  });

  test("an error in one step ends those beside it, and is told", async () => {
    const { database } = world.backend;
    const ended: number[] = [];
    let thrown = 0;
    const broken = auditLedger({
      database,
      whole: true,
      usersPerStep: 1,
      concurrency: 2,
      onProgress({ users }) {
        if (thrown > 0) ended.push(users);
        if (users < 2) return;
        thrown += 1;
        throw new Error("told");
      },
    });
    await expect(broken).rejects.toThrow("told");
    // Another step in progress may finish, but no further step begins.
    expect(ended.length).toBeLessThanOrEqual(1);
    await mend();
  });

  test("says when a check finds more than it lists, and takes nobody's books for proven then", async () => {
    const { database } = world.backend;
    // Two entries of each user are wrong: 120 in all, of which one check lists 100.
    const users: string[] = [];
    for (let n = 0; n < 60; n += 1) {
      userId = await world.createUser(100);
      await spendLater(n);
      users.push(userId);
    }
    const where = { userId: { in: users } };
    await database.models.creditLog.updateMany({
      where: { ...where, seq: 1 },
      data: { balance: 7 },
    });
    const audit = () => auditLedger({ database, whole: false, smallEntries: 0 });
    const report = await audit();
    expect(report).toMatchObject({ isCut: true, violations: { length: 100 } });
    expect(await database.models.ledgerCheckpoint.count({ where })).toBe(0);
    for (userId of users) await mend();
    expect(await audit()).toMatchObject({ isCut: false, violations: [] });
  });

  test("doctors beside each other, and beside spends, agree", async () => {
    const spends = Array.from({ length: 20 }, (_, n) => spendLater(n));
    const { database } = world.backend;
    const reports = await Promise.all([
      goOn(),
      goOn(),
      auditLedger({ database, whole: true, usersPerStep: 2 }),
      auditLedger({ database, whole: true, usersPerStep: 3 }),
    ]);
    await Promise.all(spends);
    expect(reports.flatMap(({ violations }) => violations)).toEqual([]);
    expect((await goOn()).violations).toEqual([]);
    // Everything is recorded now; only users with an active hold are read again, and they have no new entries.
    expect(await goOn()).toMatchObject({ violations: [], provenNow: 0 });
    await mend();
  });

  test("a proof that goes on from one that was taken back meanwhile is not kept", async () => {
    const { database } = world.backend;
    const { ledgerCheckpoint, creditLog } = database.models;
    await goOn();
    const old = await ledgerCheckpoint.findUniqueOrThrow({ where: { userId } });
    await creditLog.update({ where: { userId_seq: { userId, seq: 2 } }, data: { balance: 3 } });
    expect(await diagnose()).not.toEqual([]);
    await createAuditStore(database).save([], [{ ...old, fromSeq: old.seq }]);
    expect(await ledgerCheckpoint.count({ where: { userId } })).toBe(0);
    await mend();
  });

  test("checkpoints are written all or none, and a doctor that broke off goes on later", async () => {
    const { database } = world.backend;
    const { ledgerCheckpoint } = database.models;
    await goOn();
    const old = await ledgerCheckpoint.findUniqueOrThrow({ where: { userId } });
    const broken = { ...old, fromSeq: null, userId: "another", wholeAt: new Date(Number.NaN) };
    const store = createAuditStore(database);
    await expect(store.save([userId], [{ ...old, fromSeq: null }, broken])).rejects.toThrow();
    expect(await ledgerCheckpoint.findUnique({ where: { userId } })).toEqual(old);
    await ledgerCheckpoint.deleteMany();
    const stop = new AbortController();
    const brokenOff = auditLedger({
      database,
      whole: true,
      usersPerStep: 1,
      signal: stop.signal,
      onProgress: ({ users }) => users === 2 && stop.abort(),
    });
    await expect(brokenOff).rejects.toThrow();
    expect(await ledgerCheckpoint.count()).toBe(2);
    expect(await goOn()).toMatchObject({ violations: [] });
    expect(await ledgerCheckpoint.count()).toBe(await database.models.user.count());
    await mend();
  });
});
