// The `admin` procedures: what they do, that each write leaves an audit line, and that one administrator remains.
import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { createAdminStore } from "../../../server/admin/admin.store.ts";
import { available } from "../../support/backend.ts";
import type { Person } from "../../support/people.ts";
import { useTestApp } from "../../support/use-app.ts";
import { rawKey } from "../../support/operations.ts";
import { bearer } from "../../support/wire-call.ts";

interface Stats {
  users: { total: number; disabled: number };
  credits: { outstanding: number };
}

interface Page {
  users: { id: string; email: string; role: string; credits: number; disabledAt: string | null }[];
  nextCursor: string | null;
}

describe("admin", () => {
  const world = useTestApp({ available });
  let admin: Person;
  beforeAll(async () => {
    admin = await world.person("ADMIN");
  });

  const models = () => world.models;
  const as = (person: Person) => bearer(person.accessToken);
  const read = (path: string, input?: unknown) => world.call(path, "query", input, as(admin));
  const write = (path: string, input: unknown) => world.call(path, "mutation", input, as(admin));
  const lines = (targetId: string) =>
    models().auditLog.findMany({ where: { targetId }, orderBy: { id: "asc" } });

  it("corrects credits either way, into debt too, once per key, with reason and audit line", async () => {
    const person = await world.person();
    const key = randomUUID();
    const give = {
      userId: person.userId,
      amount: 50,
      reason: "An outage on Monday",
      idempotencyKey: key,
    };
    const first = await write("admin.adjustCredits", give);
    expect(first.data).toMatchObject({ balance: 150, replayed: false });
    const again = await write("admin.adjustCredits", give);
    expect(again.data).toMatchObject({
      transactionId: (first.data as { transactionId: string }).transactionId,
      replayed: true,
    });
    const conflict = await write("admin.adjustCredits", { ...give, amount: 51 });
    expect(conflict.code).toBe("IDEMPOTENCY_CONFLICT");
    const take = { ...give, amount: -200, idempotencyKey: randomUUID() };
    expect((await write("admin.adjustCredits", take)).data).toMatchObject({ balance: -50 });
    const audit = await lines(person.userId);
    expect(audit.map(({ action, reason, actorId }) => ({ action, reason, actorId }))).toEqual([
      { action: "credits.adjust", reason: "An outage on Monday", actorId: admin.userId },
      { action: "credits.adjust", reason: "An outage on Monday", actorId: admin.userId },
    ]);
    expect(JSON.parse(audit[1]?.detail ?? "{}")).toMatchObject({ amount: -200 });
    const nobody = await write("admin.adjustCredits", { ...give, userId: randomUUID() });
    expect(nobody.code).toBe("NOT_FOUND");
  });

  it("changes the role, ends older access tokens, leaves a line", async () => {
    const person = await world.person();
    const answer = await write("admin.setRole", {
      userId: person.userId,
      role: "ADMIN",
      reason: "Joins the team",
    });
    expect(answer.data).toMatchObject({ user: { id: person.userId, role: "ADMIN" } });
    const stale = await world.call("admin.users", "query", {}, as(person));
    expect(stale.code).toBe("TOKEN_EXPIRED");
    const fresh = await world.signInAgain(person.userId);
    expect((await world.call("admin.users", "query", {}, as(fresh))).status).toBe(200);
    await write("admin.setRole", { userId: person.userId, role: "USER" });
    expect((await world.call("admin.users", "query", {}, as(fresh))).code).toBe("TOKEN_EXPIRED");
    const demoted = await world.signInAgain(person.userId);
    expect((await world.call("admin.users", "query", {}, as(demoted))).code).toBe("FORBIDDEN");
    expect((await lines(person.userId)).map((line) => [line.action, line.reason])).toEqual([
      ["user.setRole", "Joins the team"],
      ["user.setRole", null],
    ]);
  });

  it("disables at once and for all sessions; enabling lets the person sign in anew", async () => {
    const person = await world.person();
    const disabled = await write("admin.disableUser", { userId: person.userId, reason: "Abuse" });
    expect((disabled.data as { user: { disabledAt: string } }).user.disabledAt).not.toBeNull();
    const me = () => world.call("auth.me", "query", undefined, as(person));
    expect((await me()).code).toBe("SESSION_REVOKED");
    const enabled = await write("admin.enableUser", { userId: person.userId });
    expect(enabled.data).toMatchObject({ user: { disabledAt: null } });
    expect((await me()).code).toBe("SESSION_REVOKED");
    const again = await world.signInAgain(person.userId);
    expect((await world.call("auth.me", "query", undefined, as(again))).status).toBe(200);
    expect((await lines(person.userId)).map((line) => line.action)).toEqual([
      "user.disable",
      "user.enable",
    ]);
  });

  it("finds users by id, and by any part of e-mail or name, in pages, without wildcards", async () => {
    const mark = randomUUID().slice(0, 8);
    const people = await Promise.all(Array.from({ length: 5 }, () => world.person()));
    await Promise.all(
      people.map((person, index) =>
        models().user.update({
          where: { id: person.userId },
          data: { name: `Zoë ${mark}_${index}% Ünal` },
        }),
      ),
    );
    const find = async (search: string, more: object = {}) =>
      (await read("admin.users", { search, ...more })).data as Page;
    const [first] = people;
    if (first === undefined) throw new Error("nobody");
    expect((await find(first.userId)).users.map((user) => user.id)).toEqual([first.userId]);
    expect((await find(first.email.toUpperCase())).users.map((user) => user.id)).toEqual([
      first.userId,
    ]);
    expect((await find(first.email.slice(3, 30))).users.map((user) => user.id)).toEqual([
      first.userId,
    ]);
    expect((await find(`ZOË ${mark}`)).users).toHaveLength(5);
    expect((await find(`${mark}_0%`)).users.map((user) => user.id)).toEqual([first.userId]);
    for (const nothing of [`${mark}%0`, `${mark}__`, "' OR 1=1 --", "\\", "%", `${mark}.*`]) {
      const found = (await find(nothing)).users.filter((user) =>
        people.some((person) => person.userId === user.id),
      );
      if (nothing === "%") expect(found).toHaveLength(5);
      else expect(found, nothing).toEqual([]);
    }
    const seen: string[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < 10; page++) {
      const { users, nextCursor } = await find(mark, { limit: 2, cursor });
      seen.push(...users.map((user) => user.id));
      if (nextCursor === null) break;
      cursor = nextCursor;
    }
    expect(seen.sort()).toEqual(people.map((person) => person.userId).sort());
    const all = new Set<string>();
    cursor = undefined;
    for (let page = 0; page < 50; page++) {
      const { users, nextCursor } = (await read("admin.users", { limit: 3, cursor })).data as Page;
      for (const user of users) {
        expect(all.has(user.id)).toBe(false);
        all.add(user.id);
      }
      if (nextCursor === null) break;
      cursor = nextCursor;
    }
    expect(all.size).toBe(await models().user.count());
    const admins = (await read("admin.users", { role: "ADMIN" })).data as Page;
    expect(new Set(admins.users.map((user) => user.role))).toEqual(new Set(["ADMIN"]));
  });

  it.each([
    ["admin.users", { cursor: "forged" }],
    ["admin.users", { cursor: "99999999999999999999_x" }],
    // A cursor in the year 33658, a date that MySQL does not support.
    ["admin.users", { cursor: "OTk5OTk5OTk5OTk5OTk5X2E", search: "a" }],
    ["admin.users", { cursor: "' OR 1=1" }],
    ["admin.users", { limit: 1e9 }],
    ["admin.users", { limit: 0 }],
    ["admin.users", { limit: 1.5 }],
    ["admin.users", { search: { contains: "a" } }],
    ["admin.users", { role: "ROOT" }],
    ["admin.users", { role: { not: "USER" } }],
    ["admin.user", { userId: "" }],
    ["admin.user", { userId: { not: "" } }],
    ["admin.stats", { from: "yesterday" }],
    ["admin.stats", { to: "0000-01-10T00:00:00.000Z" }],
    ["admin.stats", { from: "1969-12-31T23:59:59.999Z", to: "1970-01-02T00:00:00.000Z" }],
    ["admin.stats", { from: "2026-02-01T00:00:00.000Z", to: "2026-01-01T00:00:00.000Z" }],
  ])("%s refuses %j", async (path, input) => {
    const answer = await read(path, input);
    expect([answer.status, answer.code]).toEqual([400, "VALIDATION_FAILED"]);
  });

  it.each([0, 1.5, -1_000_000_001, 2 ** 53, "1", null])(
    "adjustCredits refuses the amount %j",
    async (amount) => {
      const person = await world.person();
      const answer = await write("admin.adjustCredits", {
        userId: person.userId,
        amount,
        reason: "r",
        idempotencyKey: randomUUID(),
      });
      expect([answer.status, answer.code]).toEqual([400, "VALIDATION_FAILED"]);
      expect(await lines(person.userId)).toEqual([]);
    },
  );

  it("adjustCredits refuses credits that would be gone already", async () => {
    const { userId } = await world.person();
    const terms = { userId, amount: 5, reason: "r", idempotencyKey: "late" };
    const expiresAt = new Date(Date.now() - 1_000).toISOString();
    const answer = await write("admin.adjustCredits", { ...terms, expiresAt });
    expect([answer.status, answer.code]).toEqual([400, "VALIDATION_FAILED"]);
    expect(await lines(userId)).toEqual([]);
  });

  it("shows one user whole", async () => {
    const person = await world.person();
    await write("admin.adjustCredits", {
      userId: person.userId,
      amount: 7,
      reason: "shown below",
      idempotencyKey: randomUUID(),
    });
    const answer = await read("admin.user", { userId: person.userId });
    expect(answer.data).toMatchObject({
      user: { id: person.userId, email: person.email, credits: 107, held: 0 },
      payments: [],
      subscription: null,
      audit: [{ action: "credits.adjust", reason: "shown below", actorId: admin.userId }],
    });
    const { grants } = answer.data as { grants: { source: string; remaining: number }[] };
    expect(grants.reduce((sum, grant) => sum + grant.remaining, 0)).toBe(107);
    expect((await read("admin.user", { userId: randomUUID() })).code).toBe("NOT_FOUND");
  });

  it("counts what happened in a time, and what is there", async () => {
    const from = new Date().toISOString();
    const before = (await read("admin.stats")).data as Stats;
    const person = await world.person();
    const spend = { feature: "chat-pro", idempotencyKey: randomUUID() };
    await world.call("credit.spend", "mutation", spend, as(person));
    const to = new Date(Date.now() + 1_000).toISOString();
    const answer = await read("admin.stats", { from, to });
    expect(answer.data).toMatchObject({
      from,
      to,
      users: { created: 1 },
      credits: { granted: 100, spent: 5 },
      payments: [],
      events: { failed: 0 },
    });
    const { users, credits } = answer.data as Stats;
    expect(users.total - before.users.total).toBe(1);
    expect(credits.outstanding - before.credits.outstanding).toBe(95);
    const disabled = { where: { id: person.userId }, data: { disabledAt: new Date() } };
    await models().user.update(disabled);
    const after = (await read("admin.stats")).data as Stats;
    expect(after.users).toMatchObject({ total: users.total, disabled: users.disabled + 1 });
  });

  it("leaves a line for every refund and replay that was asked for, even one that comes to nothing", async () => {
    const paymentId = randomUUID();
    const refund = await write("admin.refundPayment", {
      paymentId,
      idempotencyKey: randomUUID(),
      reason: "Asked kindly",
    });
    expect(refund.code).toBe("NOT_FOUND");
    expect((await lines(paymentId)).map((line) => [line.action, line.reason])).toEqual([
      ["payment.refund", "Asked kindly"],
    ]);
    const eventId = `evt_${randomUUID().replaceAll("-", "")}`;
    expect((await write("admin.replayEvent", { eventId })).code).toBe("NOT_FOUND");
    expect((await lines(eventId)).map((line) => line.action)).toEqual(["event.replay"]);
    expect((await read("admin.events", { status: "FAILED" })).data).toMatchObject({ events: [] });
  });

  it("writes the change and its line together or not at all", async () => {
    const person = await world.person();
    const store = createAdminStore({
      database: world.opened.backend.database,
      ledger: world.app.ledger,
      now: Date.now,
    });
    // An audit line that the database rejects: an action longer than its column.
    const line = {
      actorId: admin.userId,
      ip: null,
      action: "x".repeat(70_000),
      targetType: "user",
      targetId: "x".repeat(70_000),
      reason: null,
      detail: {
        toJSON: () => {
          throw new Error("the line cannot be written");
        },
      },
    };
    const before = await models().user.findUnique({ where: { id: person.userId } });
    await expect(store.setRole(person.userId, "ADMIN", line)).rejects.toThrow();
    await expect(store.setDisabled(person.userId, new Date(), line)).rejects.toThrow();
    await expect(
      store.adjust(
        {
          kind: "adjust",
          userId: person.userId,
          amountCredits: 5,
          actorId: admin.userId,
          reason: "never",
          idempotencyKey: rawKey(randomUUID()),
          expiresAt: null,
        },
        line,
      ),
    ).rejects.toThrow();
    expect(await models().user.findUnique({ where: { id: person.userId } })).toEqual(before);
    expect((await world.call("auth.me", "query", undefined, as(person))).status).toBe(200);
  });

  it("does not know who was deleted", async () => {
    const person = await world.person();
    await world.call("user.delete", "mutation", { confirmEmail: person.email }, as(person));
    for (const [path, more] of [
      ["admin.setRole", { role: "ADMIN" }],
      ["admin.disableUser", {}],
      ["admin.enableUser", {}],
    ] as const) {
      expect((await write(path, { userId: person.userId, ...more })).code).toBe("NOT_FOUND");
    }
    const shown = await read("admin.user", { userId: person.userId });
    expect((shown.data as { user: { deletedAt: string | null } }).user.deletedAt).not.toBeNull();
  });
});

describe("the last administrator", () => {
  const world = useTestApp({ available });
  const as = (person: Person) => bearer(person.accessToken);

  it("cannot be demoted or disabled, not even by two who do it to each other at once", async () => {
    const [one, two] = [await world.person("ADMIN"), await world.person("ADMIN")];
    const answers = await Promise.all([
      world.call("admin.setRole", "mutation", { userId: two.userId, role: "USER" }, as(one)),
      world.call("admin.disableUser", "mutation", { userId: one.userId }, as(two)),
    ]);
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1);
    const { models } = world;
    const left = await models.user.findMany({ where: { role: "ADMIN", disabledAt: null } });
    expect(left).toHaveLength(1);
    const last = left[0]?.id === one.userId ? one : two;
    for (const [path, input] of [
      ["admin.setRole", { userId: last.userId, role: "USER" }],
      ["admin.disableUser", { userId: last.userId }],
    ] as const) {
      const answer = await world.call(path, "mutation", input, as(last));
      expect([answer.status, answer.code]).toEqual([409, "CONFLICT"]);
    }
    expect((await world.call("admin.users", "query", {}, as(last))).status).toBe(200);
  });
});
