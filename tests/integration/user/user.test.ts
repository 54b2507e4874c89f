// A user can see, change, export and erase what is stored about them.
import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createUserService } from "../../../server/user/user.service.ts";
import { createUserStore } from "../../../server/user/user.store.ts";
import { scopedKey } from "../../../server/ledger/idempotency-key.ts";
import { AppError } from "../../../server/lib/errors.ts";
import { available } from "../../support/backend.ts";
import { newEmail } from "../auth/support.ts";
import type { Person } from "../../support/people.ts";
import { useTestApp } from "../../support/use-app.ts";
import { silent } from "../../support/silent.ts";

describe("user", () => {
  const world = useTestApp({ available });

  const models = () => world.models;
  const as = (person: Pick<Person, "accessToken">) => ({
    authorization: `Bearer ${person.accessToken}`,
  });

  it("changes what was given and nothing else", async () => {
    const person = await world.person();
    const update = (input: unknown) => world.call("user.update", "mutation", input, as(person));
    expect((await update({ name: " Ada " })).data).toMatchObject({ user: { name: "Ada" } });
    const avatar = "https://img.example/a.png";
    expect((await update({ avatar })).data).toMatchObject({ user: { name: "Ada", avatar } });
    expect((await update({ avatar: null })).data).toMatchObject({
      user: { name: "Ada", avatar: null, email: person.email, credits: 100 },
    });
    expect((await update({})).data).toMatchObject({ user: { name: "Ada", avatar: null } });
  });

  it.each([
    [{ name: "" }],
    [{ name: "x".repeat(201) }],
    [{ name: "a\u0000b" }],
    [{ name: { contains: "a" } }],
    [{ avatar: "javascript:alert(1)" }],
    [{ avatar: "http://img.example/a.png" }],
    [{ avatar: "https://img.example/a\u0000.png" }],
    [{ avatar: "https://img.example/a\ud800.png" }],
    [{ role: "ADMIN" }],
    [{ credits: 1_000_000 }],
    [{ email: "other@example.com" }],
    [{ id: "another" }],
    ["text"],
    [[]],
  ])("refuses %j and changes nothing", async (input) => {
    const person = await world.person();
    const before = await models().user.findUnique({ where: { id: person.userId } });
    const answer = await world.call("user.update", "mutation", input, as(person));
    expect([answer.status, answer.code]).toEqual([400, "VALIDATION_FAILED"]);
    expect(await models().user.findUnique({ where: { id: person.userId } })).toEqual(before);
  });

  it("exports everything that is stored, for every table that knows the person, and no secret", async () => {
    const person = await world.person();
    await world.call(
      "credit.spend",
      "mutation",
      { feature: "chat-pro", idempotencyKey: randomUUID(), metadata: { note: "my words" } },
      as(person),
    );
    const other = await world.person();
    const { data } = await world.call("user.export", "query", undefined, as(person));
    const document = data as Record<string, unknown[]>;
    const text = JSON.stringify(document);
    expect(document).toMatchObject({
      user: { id: person.userId, email: person.email, credits: 95 },
      identities: [{ userId: person.userId, issuer: world.sandbox.google.issuer }],
      sessions: [{ id: person.sessionId, ipAddress: "192.0.2.7" }],
      creditLogs: [
        { seq: 1, type: "SIGNUP", amount: 100 },
        { seq: 2, type: "USAGE", amount: -5 },
      ],
      creditGrants: [{ source: "SIGNUP" }],
      payments: [],
      subscriptions: [],
    });
    expect(text).toContain("my words");
    for (const secret of ["refreshTokenHash", "previousTokenHash", other.userId, other.email]) {
      expect(text).not.toContain(secret);
    }
    // A table that gets a userId in the future must not be forgotten here.
    const tables = Object.keys(models()).filter((name) => /^[a-z]/.test(name));
    const personal: string[] = [];
    for (const table of tables) {
      const delegate = (models() as unknown as Record<string, { fields?: object }>)[table];
      if (delegate?.fields !== undefined && "userId" in delegate.fields) personal.push(table);
    }
    expect(personal.length).toBeGreaterThan(8);
    // Keys are the client's own, totals sum up usage that is exported call by call, and checkpoints sum up balances.
    const withoutWords = new Set(["idempotencyKey", "usageTotal", "ledgerCheckpoint"]);
    for (const table of personal) {
      const plural = table.endsWith("y") ? `${table.slice(0, -1)}ies` : `${table}s`;
      expect([table, Object.keys(document).includes(plural) || withoutWords.has(table)]).toEqual([
        table,
        true,
      ]);
    }
  });

  it("exports what administrators did to the account without naming them, and the person's own acts without naming others", async () => {
    const [person, admin] = [await world.person(), await world.person("ADMIN")];
    const adjust = async (userId: string, by: Person) => {
      const order = { userId, amount: 7, reason: "a gift", idempotencyKey: randomUUID() };
      const answer = await world.call("admin.adjustCredits", "mutation", order, as(by));
      expect(answer.status).toBe(200);
    };
    await adjust(person.userId, admin);
    await adjust(admin.userId, admin);
    const exportOf = async (by: Person) => {
      const { data } = await world.call("user.export", "query", undefined, as(by));
      return { text: JSON.stringify(data), document: data as Record<string, object[]> };
    };
    const about = await exportOf(person);
    expect(about.text).not.toContain(admin.userId);
    expect(about.document).toMatchObject({
      creditLogs: [{ type: "SIGNUP" }, { type: "ADMIN_ADJUST", sourceId: null }],
      creditGrants: [{ source: "SIGNUP" }, { source: "ADMIN_ADJUST", sourceId: null }],
      auditLogs: [{ action: "credits.adjust", reason: "a gift", ipAddress: null }],
      auditLogsAsActor: [],
    });
    const own = await exportOf(admin);
    expect(own.text).not.toContain(person.userId);
    const act = { action: "credits.adjust", ipAddress: "127.0.0.1" };
    const raised = { action: "user.setRole", ipAddress: "192.0.2.7" };
    expect(own.document).toMatchObject({
      creditLogs: [{ type: "SIGNUP" }, { type: "ADMIN_ADJUST", sourceId: admin.userId }],
      auditLogs: [raised, act],
      auditLogsAsActor: [act],
    });
  });

  it("exports what an administrator did to the person's payments, and to nobody else's", async () => {
    const [person, admin, other] = [
      await world.person(),
      await world.person("ADMIN"),
      await world.person(),
    ];
    const paymentOf = async (userId: string) => {
      const money = { amount: 500, currency: "usd", status: "SUCCESS", creditsPurchased: 0 };
      const [id, createdAt] = [randomUUID(), new Date()];
      await models().payment.create({ data: { id, userId, ...money, createdAt } });
      return id;
    };
    const [first, second, others] = [
      await paymentOf(person.userId),
      await paymentOf(person.userId),
      await paymentOf(other.userId),
    ];
    // Refused, because nothing was paid here; but the order itself is recorded first.
    for (const paymentId of [second, first, others, first]) {
      const order = { paymentId, reason: `of ${paymentId}`, idempotencyKey: randomUUID() };
      expect((await world.call("admin.refundPayment", "mutation", order, as(admin))).status).toBe(
        409,
      );
    }
    const { data } = await world.call("user.export", "query", undefined, as(person));
    const { auditLogs } = data as { auditLogs: { targetId: string }[] };
    const [action, targetType] = ["payment.refund", "payment"];
    const lines = [first, first, second].map((targetId) => ({
      ...{ action, targetType, targetId, reason: `of ${targetId}`, ipAddress: null },
    }));
    const order = (a: { targetId: string }, b: typeof a) => (a.targetId < b.targetId ? -1 : 1);
    expect(auditLogs.toSorted(order)).toMatchObject(lines.toSorted(order));
    expect(JSON.stringify(data)).not.toContain(admin.userId);
  });

  it("exports a debt that was carried over without naming the former account", async () => {
    const email = newEmail();
    const first = await world.signIn(email);
    await world.app.ledger.submit({
      kind: "takeBack",
      userId: first.user.id,
      amountCredits: 130,
      type: "DISPUTE",
      sourceId: "p1",
      grantKey: "payment:p1",
      idempotencyKey: scopedKey("dispute", "1", "p"),
      description: "Disputed",
    });
    await world.call("user.delete", "mutation", { confirmEmail: email }, as(first));
    const second = await world.signIn(email);
    const { data } = await world.call("user.export", "query", undefined, as(second));
    expect(data).toMatchObject({ user: { credits: -30 } });
    expect(JSON.stringify(data)).not.toContain(first.user.id);
  });

  it("erases the person, keeps the money, ends every session at once", async () => {
    const person = await world.person();
    const second = await world.signInAgain(person.userId);
    // As written by a sign-in whose address is one of ADMIN_EMAILS.
    const byNobody = { actorId: null, action: "user.setRole", ipAddress: "192.0.2.7" };
    const target = { targetType: "user", targetId: person.userId };
    await models().auditLog.create({
      data: { id: randomUUID(), createdAt: new Date(), ...byNobody, ...target },
    });
    const wrong = await world.call(
      "user.delete",
      "mutation",
      { confirmEmail: "someone@example.com" },
      as(person),
    );
    expect([wrong.status, wrong.code]).toEqual([400, "VALIDATION_FAILED"]);
    const answer = await world.call(
      "user.delete",
      "mutation",
      { confirmEmail: ` ${person.email.toUpperCase()} ` },
      as(person),
    );
    expect([answer.status, answer.data]).toEqual([200, {}]);
    for (const { accessToken } of [person, second]) {
      const me = await world.call("auth.me", "query", undefined, {
        authorization: `Bearer ${accessToken}`,
      });
      expect(me.code).toBe("SESSION_REVOKED");
    }
    const row = await models().user.findUnique({ where: { id: person.userId } });
    expect(row).toMatchObject({
      email: `deleted-${person.userId}@deleted.invalid`,
      name: null,
      avatar: null,
      role: "USER",
      credits: 100,
      ledgerSeq: 1,
    });
    expect(await models().creditLog.count({ where: { userId: person.userId } })).toBe(1);
    const sessions = await models().session.findMany({ where: { userId: person.userId } });
    expect(sessions).toHaveLength(2);
    for (const session of sessions) {
      expect(session).toMatchObject({ userAgent: null, ipAddress: null });
      expect(session.revokedAt).not.toBeNull();
    }
    expect(
      await models().auditLog.count({
        where: { action: "user.delete", targetId: person.userId },
      }),
    ).toBe(1);
    // Nothing of the person is left in any of their rows.
    const everything = JSON.stringify([
      row,
      sessions,
      await models().identity.findMany(),
      await models().auditLog.findMany({ where: { targetId: person.userId } }),
    ]);
    expect(everything).not.toContain(person.email);
    expect(everything).not.toContain("192.0.2.7");
  });

  it("welcomes who returns as somebody new, without a second bonus", async () => {
    const email = newEmail();
    const first = await world.signIn(email);
    const bearer = { authorization: `Bearer ${first.accessToken}` };
    const gone = await world.call("user.delete", "mutation", { confirmEmail: email }, bearer);
    expect(gone.status).toBe(200);
    const second = await world.signIn(email);
    expect(second.user.id).not.toBe(first.user.id);
    expect(first.user).toMatchObject({ credits: 100, email });
    expect(second.user).toMatchObject({ credits: 0, email });
  });

  it("stops before erasing when Stripe cannot be told, and goes on when asked again", async () => {
    const person = await world.person();
    let stripeIsAway = true;
    let ended = 0;
    const users = createUserService({
      users: createUserStore(world.opened.backend.database),
      endSubscription: async () => {
        if (stripeIsAway) throw AppError.of("PAYMENT_PROVIDER_ERROR", "Stripe is away.");
        ended += 1;
      },
      invalidateSessions: world.app.services.auth.invalidateSessions,
      logger: silent,
      now: Date.now,
    });
    const principal = {
      userId: person.userId,
      sessionId: person.sessionId,
      role: "USER" as const,
    };
    const remove = () => users.delete(principal, { confirmEmail: person.email });
    await expect(remove()).rejects.toMatchObject({ code: "PAYMENT_PROVIDER_ERROR" });
    expect((await world.call("auth.me", "query", undefined, as(person))).data).toMatchObject({
      user: { email: person.email },
    });
    stripeIsAway = false;
    // A subscription that began between the two steps prevents the deletion, and nothing is half erased.
    const now = new Date();
    await models().subscription.create({
      data: {
        id: randomUUID(),
        userId: person.userId,
        planId: "plan",
        stripeSubscriptionId: `sub_${randomUUID()}`,
        stripeCustomerId: "cus_x",
        status: "active",
        liveKey: person.userId,
        currentPeriodStart: now,
        currentPeriodEnd: now,
        createdAt: now,
      },
    });
    await expect(remove()).rejects.toMatchObject({ code: "CONFLICT" });
    expect(await models().user.findUnique({ where: { email: person.email } })).not.toBeNull();
    await models().subscription.updateMany({
      where: { userId: person.userId },
      data: { liveKey: null },
    });
    await remove();
    await remove();
    expect(ended).toBe(2);
    expect(await models().user.findUnique({ where: { email: person.email } })).toBeNull();
  });

  it("of one person is deleted once by ten callers", async () => {
    const person = await world.person();
    const answers = await Promise.all(
      Array.from({ length: 10 }, () =>
        world.call("user.delete", "mutation", { confirmEmail: person.email }, as(person)),
      ),
    );
    for (const { status, code } of answers) {
      expect([200, 401]).toContain(status);
      expect([null, "SESSION_REVOKED"]).toContain(code);
    }
    expect(
      await models().auditLog.count({
        where: { action: "user.delete", targetId: person.userId },
      }),
    ).toBe(1);
  });
});
