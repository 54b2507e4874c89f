// What administrators read is bounded, and complete within its bounds.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { createAdminService } from "../../../server/admin/admin.service.ts";
import { createAdminStore } from "../../../server/admin/admin.store.ts";
import type { Database } from "../../../server/database/ports.ts";
import { newId } from "../../../server/lib/ids.ts";
import { available } from "../../support/backend.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useTestApp } from "../../support/use-app.ts";

describe("administrators' reads", () => {
  const world = useTestApp({ available, clock: createTestClock("stepping") });
  let database: Database;
  beforeAll(async () => {
    ({ database } = world.backend);
  });

  const storeOf = () => createAdminStore({ database, ledger: world.ledger, now: Date.now });
  const serviceOn = (store: ReturnType<typeof storeOf>) =>
    createAdminService({
      store,
      payments: {} as never,
      ledger: world.ledger,
      creditHistory: () => Promise.resolve({ logs: [], nextCursor: null }),
      logger: world.logger,
      invalidateSessions: () => Promise.resolve(),
      now: Date.now,
    });

  async function people(count: number, name: string, createdAtMs: number): Promise<string[]> {
    const rows = Array.from({ length: count }, (_, n) => ({
      id: newId(createdAtMs + n),
      email: `${randomUUID()}@example.com`,
      name,
      createdAt: new Date(createdAtMs + n),
    }));
    for (let at = 0; at < count; at += 2_000)
      await database.models.user.createMany({ data: rows.slice(at, at + 2_000) });
    return rows.map(({ id }) => id).toReversed();
  }

  test("a search returns a user behind more rows than one call used to look at, not an empty page with a cursor", async () => {
    const mark = randomUUID();
    const [wanted] = await people(1, `Old ${mark}`, Date.UTC(2020, 0));
    await people(22_000, "Somebody", Date.UTC(2021, 0));
    const { users } = await storeOf().users({ search: mark, limit: 50 });
    expect(users.map(({ id }) => id)).toEqual([wanted]);
  });

  test("a search returns a cursor exactly where more users follow, and no user twice", async () => {
    const mark = randomUUID();
    const ids = await people(4, `One of ${mark}`, Date.UTC(2022, 0));
    const store = storeOf();
    const first = await store.users({ search: mark, limit: 2 });
    expect(first.nextCursor).not.toBeNull();
    const second = await store.users({ search: mark, limit: 2, cursor: first.nextCursor ?? "" });
    expect(second.nextCursor).toBeNull();
    expect([...first.users, ...second.users].map(({ id }) => id)).toEqual(ids);
  });

  test("a search finds a part of e-mail, name or id in any case, and no wildcard", async () => {
    const mark = randomUUID().slice(0, 8);
    const at = Date.UTC(2023, 0);
    const made = await Promise.all(
      [`Özlem %${mark}_ Kaya`, `Zoe ${mark}`, "Nobody"].map(async (name, n) => {
        const [id = ""] = await people(1, name, at + n);
        return id;
      }),
    );
    const store = storeOf();
    const found = async (search: string) =>
      (await store.users({ search, limit: 50 })).users.map(({ id }) => id);
    expect(await found(mark.toUpperCase())).toEqual([made[1], made[0]]);
    expect(await found(`%${mark}_`)).toEqual([made[0]]);
    expect(await found(`ZOE ${mark}`)).toEqual([made[1]]);
    expect(await found(`özlem %${mark}`)).toEqual([made[0]]);
    expect(await found("%")).toEqual([made[0]]);
    expect(await found((made[2] ?? "").slice(4).toUpperCase())).toEqual([made[2]]);
    expect(await found(`nobody ${mark}`)).toEqual([]);
  });

  test.each(["İbrahim", "ΓΙΩΡΓΟΣ"])("a search finds %s as it is written", async (name) => {
    const mark = randomUUID().slice(0, 8);
    const [id] = await people(1, `${name} ${mark}`, Date.UTC(2023, 6));
    const { users } = await storeOf().users({ search: `${name} ${mark}`, limit: 50 });
    expect(users.map((user) => user.id)).toEqual([id]);
  });

  test("a user's subscription is the live one, however new an ended one is", async () => {
    const userId = await world.createUser(0);
    const at = (year: number) => new Date(Date.UTC(year, 0));
    const rows = [
      { status: "canceled", liveKey: null, createdAt: at(2021) },
      { status: "active", liveKey: userId, createdAt: at(2022) },
      { status: "canceled", liveKey: null, createdAt: at(2023) },
    ];
    await database.models.subscription.createMany({
      data: rows.map((row) => ({
        ...{ id: randomUUID(), userId, planId: "plan", stripeCustomerId: "cus" },
        ...{ stripeSubscriptionId: randomUUID(), currentPeriodStart: row.createdAt },
        ...{ currentPeriodEnd: at(2024), ...row },
      })),
    });
    expect(await storeOf().user(userId)).toMatchObject({ subscription: { status: "active" } });
    await database.models.subscription.deleteMany({ where: { liveKey: userId } });
    expect(await storeOf().user(userId)).toMatchObject({ subscription: { status: "canceled" } });
  });

  test("a search for one role finds no other, page by page over users of one moment", async () => {
    const mark = randomUUID();
    const at = new Date(Date.UTC(2024, 0));
    const rows = Array.from({ length: 7 }, (_, n) => ({
      id: randomUUID(),
      email: `${n}.${mark}@example.com`,
      role: n % 2 === 0 ? "ADMIN" : "USER",
      createdAt: at,
    }));
    await database.models.user.createMany({ data: rows });
    const store = storeOf();
    const seen: string[] = [];
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = await store.users({ search: mark, role: "ADMIN", limit: 2, cursor });
      seen.push(...page.users.map(({ id }) => id));
      cursor = page.nextCursor;
    }
    const admins = rows.filter(({ role }) => role === "ADMIN").map(({ id }) => id);
    expect(seen).toEqual(admins.toSorted().toReversed());
  });

  test("figures are added up one after another, over a year at most", async () => {
    const store = storeOf();
    let running = 0;
    let most = 0;
    const counted = {
      ...store,
      async stats(from: Date, to: Date) {
        running += 1;
        most = Math.max(most, running);
        await sleep(5);
        const figures = await store.stats(from, to);
        running -= 1;
        return figures;
      },
    };
    const service = serviceOn(counted);
    const from = "2025-01-01T00:00:00.000Z";
    const year = { from, to: "2026-01-01T00:00:00.000Z" };
    const answers = await Promise.all(Array.from({ length: 5 }, () => service.stats(year)));
    expect(answers).toHaveLength(5);
    expect(most).toBe(1);
    await expect(service.stats({ from, to: "2026-01-03T00:00:00.000Z" })).rejects.toMatchObject({
      code: "VALIDATION_FAILED",
    });
  });

  test("figures over months are the sum of the entries", async () => {
    const store = storeOf();
    const userId = await world.createUser(0);
    const day = (n: number) => new Date(Date.UTC(2019, 0, 1 + n));
    let balance = 0;
    const rows = Array.from({ length: 120 }, (_, n) => {
      const amount = n % 3 === 0 ? 10 : -2;
      balance += amount;
      const type = amount > 0 ? "PURCHASE" : n % 3 === 1 ? "USAGE" : "EXPIRY";
      return { userId, seq: 1_000 + n, id: randomUUID(), amount, balance, type, createdAt: day(n) };
    });
    await database.models.creditLog.createMany({ data: rows });
    await database.models.user.update({ where: { id: userId }, data: { ledgerSeq: 1_119 } });
    const { credits } = await store.stats(day(5), day(100));
    const inside = rows.slice(5, 100);
    const given = inside.filter(({ amount }) => amount > 0).length * 10;
    const used = inside.filter(({ type }) => type === "USAGE").length * 2;
    expect([credits.granted, credits.spent]).toEqual([given, used]);
  });
});
