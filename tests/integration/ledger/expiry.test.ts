// The jobs end what has expired (holds and credits), and nothing else.
import { describe, expect, test, vi } from "vitest";
import { createApp } from "../../../server/app.ts";
import { expireHolds, expireLots } from "../../../server/jobs/expiry.ts";
import { createLogger } from "../../../server/lib/logger.ts";
import { createExpiryStore } from "../../../server/ledger/store/expiry.store.ts";
import { available } from "../../support/backend.ts";
import { ledgerWith } from "../../support/another-ledger.ts";
import { auditRows } from "../../support/ledger-audit.ts";
import { silent as logger } from "../../support/silent.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useTestApp } from "../../support/use-app.ts";
import { codeOf } from "../../support/code-of.ts";
import { grant, reserve, spend } from "../../support/operations.ts";

describe("expiry", () => {
  const world = useTestApp({ available, clock: createTestClock("stepping") });

  const never = new AbortController().signal;

  test("an instance whose clock is weeks ahead takes nobody's credits and holds them no longer", async () => {
    const { config, backend, logger } = world;
    const now = Date.now;
    const userId = await world.createUser(5);
    await world.ledger.submit(
      grant(userId, `ahead:${userId}`, 20, {
        source: "SUBSCRIPTION",
        expiresAt: new Date(now() + 3_600_000),
      }),
    );
    vi.spyOn(Date, "now").mockImplementation(() => now() + 40 * 86_400_000);
    const ahead = createApp({ config, backend, logger });
    try {
      const hold = await ahead.ledger.submit(
        reserve(userId, "svc:x:1", 12, { feature: null, priceVersion: null, ttlSeconds: 360 }),
      );
      expect(hold).toMatchObject({ credits: 25, held: 12 });
      expect(hold.expiresAt.getTime()).toBeLessThan(now() + 400_000);
      const expire = { kind: "expireLots", userId } as const;
      const [applied] = await backend.database.transaction((tx) =>
        ahead.ledger.applyIn(tx, [expire]),
      );
      for (const result of [applied, await ahead.ledger.submit(expire)])
        expect(result).toMatchObject({ credits: 25, held: 12 });
      for (const job of ["expire-holds", "expire-lots"])
        expect(await ahead.jobs.runNow(job)).toMatchObject({ ok: true, result: { rows: 0 } });
      expect(await ahead.services.credit.balance(userId)).toMatchObject({ credits: 25, held: 12 });
    } finally {
      vi.restoreAllMocks();
      await ahead.close();
    }
  });

  test("a hold taken by an instance whose clock is behind lasts as long as asked for all others", async () => {
    const maxSkewMs = 60_000;
    const behind = ledgerWith(world, { now: () => Date.now() - 90_000, maxSkewMs });
    const right = ledgerWith(world, { now: Date.now, maxSkewMs });
    const userId = await world.createUser(20);
    const hold = () => reserve(userId, `svc:x:${Math.random()}`, 5, { ttlSeconds: 60 });
    const taken = await behind.submit(hold());
    const [takenIn] = await world.backend.database.transaction((tx) =>
      behind.applyIn(tx, [hold()]),
    );
    for (const { holdId = "" } of [taken, takenIn ?? {}])
      expect(await right.submit({ kind: "settle", userId, holdId })).toMatchObject({
        amountCredits: 5,
      });
    // Without a user, nothing tells the database's time.
    expect(await codeOf(behind.submit(spend("nobody", "k")))).toBe("NOT_FOUND");
  });

  test("an expiry that finds nothing is announced to nobody: readers would ask for the next one", async () => {
    let announced = 0;
    const publish = () => Promise.resolve(void (announced += 1));
    const pubsub = { ...world.backend.pubsub, publish };
    const ledger = ledgerWith(world, { pubsub });
    const userId = await world.createUser(10);
    await ledger.submit({ kind: "expireLots", userId });
    await ledger.submit({ kind: "expireHolds", userId });
    expect(announced).toBe(0);
  });

  test("the jobs end holds that are due, and then the credits they covered", async () => {
    const {
      ledger,
      clock: { now },
      backend,
    } = world;
    const deps = { store: createExpiryStore(backend.database), ledger, logger, now };
    const { models } = backend.database;
    const userId = await world.createUser(5);
    const month = (key: string, seconds: number) =>
      ledger.submit(
        grant(userId, `${key}:${userId}`, 20, {
          source: "SUBSCRIPTION",
          expiresAt: new Date(now() + seconds * 1000),
        }),
      );
    await month("soon", 100);
    await month("later", 10_000);
    await ledger.submit(
      reserve(userId, "svc:x:1", 12, { feature: null, priceVersion: null, ttlSeconds: 300 }),
    );
    const position = async () => {
      const user = await models.user.findUniqueOrThrow({ where: { id: userId } });
      return [user.credits, user.heldCredits];
    };
    expect(await expireLots(deps, never)).toEqual({ rows: 0, failed: 0, lagSeconds: 0 });

    world.clock.aheadMs += 150 * 1_000;
    // 12 of the 20 credits are held, so they stay until the hold ends.
    expect(await expireLots(deps, never)).toEqual({ rows: 1, failed: 0, lagSeconds: 0 });
    expect(await position()).toEqual([37, 12]);
    expect(await expireHolds(deps, never)).toEqual({ rows: 0, failed: 0, lagSeconds: 0 });

    world.clock.aheadMs += 200 * 1_000;
    expect(await expireHolds(deps, never)).toEqual({ rows: 1, failed: 0, lagSeconds: 0 });
    expect(await position()).toEqual([25, 0]);
    expect(
      await models.creditHold.findMany({ where: { userId }, select: { status: true } }),
    ).toEqual([{ status: "EXPIRED" }]);
    expect(await expireLots(deps, never)).toEqual({ rows: 0, failed: 0, lagSeconds: 0 });

    expect(await auditRows(world.models)).toEqual([]);
  });

  test("pages through more users than one look finds, and goes on past one that fails", async () => {
    const {
      clock: { now },
      backend,
    } = world;
    const users = await world.createUsers(230);
    await Promise.all(
      users.map((userId) =>
        world.ledger.submit(
          grant(userId, `page:${userId}`, 3, {
            source: "SUBSCRIPTION",
            expiresAt: new Date(now() + 1_000),
          }),
        ),
      ),
    );
    world.clock.aheadMs += 10 * 1_000;
    const [unlucky] = users;
    const ownLogger = createLogger({ level: "silent" });
    const warn = vi.spyOn(ownLogger, "warn");
    const deps = {
      ...{ store: createExpiryStore(backend.database), logger: ownLogger, now },
      ledger: {
        submit: ((operation: Parameters<typeof world.ledger.submit>[0]) =>
          operation.userId === unlucky
            ? Promise.reject(new Error("away"))
            : world.ledger.submit(operation)) as typeof world.ledger.submit,
      },
    };
    expect(await expireLots(deps, never)).toMatchObject({ failed: 1 });
    const line = { kind: "expireLots", failed: 1, userId: unlucky, err: new Error("away") };
    expect(warn.mock.calls).toEqual([[line, "not expired"]]);
    const left = await backend.database.models.user.count({
      where: { id: { in: users }, credits: { gt: 0 } },
    });
    expect(left).toBe(1);
    expect(await auditRows(world.models)).toEqual([]);
  });

  test("a run told to stop says how far behind it is; the next one ends the rest, the longest due first", async () => {
    const {
      clock: { now },
      backend,
      ledger,
    } = world;
    const users = await world.createUsers(250);
    await Promise.all(
      users.map((userId, n) =>
        ledger.submit(
          grant(userId, `stop:${userId}`, 3, {
            source: "SUBSCRIPTION",
            expiresAt: new Date(now() + 1_000_000 + n * 1_000),
          }),
        ),
      ),
    );
    world.clock.aheadMs += 10_000 * 1_000;
    const store = createExpiryStore(backend.database);
    const left = async () => {
      const rows = await backend.database.models.creditGrant.findMany({
        where: { userId: { in: users }, isOpen: true },
        select: { userId: true },
      });
      return new Set(rows.map(({ userId }) => userId));
    };
    const stop = new AbortController();
    const deps = {
      ...{ store, logger, now },
      ledger: {
        submit: ((operation: Parameters<typeof ledger.submit>[0]) => {
          stop.abort();
          return ledger.submit(operation);
        }) as typeof ledger.submit,
      },
    };
    const first = await expireLots(deps, stop.signal);
    expect(first.rows).toBeGreaterThan(0);
    expect(first.rows).toBeLessThan(250);
    expect(first.lagSeconds).toBeGreaterThan(8_000);
    const after = await left();
    expect(users.filter((id) => !after.has(id))).toEqual(users.slice(0, 250 - after.size));
    expect(await expireLots({ store, now, logger, ledger }, never)).toMatchObject({
      lagSeconds: 0,
    });
    expect((await left()).size).toBe(0);
    expect(await auditRows(world.models)).toEqual([]);
  });
});
