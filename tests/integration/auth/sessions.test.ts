// The end of a session, a disabled account and a new role take effect on the next request, on every instance.
import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createAdminStore } from "../../../server/admin/admin.store.ts";
import { retentionJobs } from "../../../server/jobs/retention.ts";
import { createRetentionStore } from "../../../server/jobs/retention.store.ts";
import { createJobRunner } from "../../../server/jobs/runner.ts";
import type { Principal } from "../../../server/auth/auth.types.ts";
import { available } from "../../support/backend.ts";
import { describeBackend } from "../../support/databases.ts";
import type { Identity } from "../../support/people.ts";
import { useTestApp } from "../../support/use-app.ts";
import { codeOf } from "../../support/code-of.ts";
import { fromBrowser } from "./support.ts";
import { silent } from "../../support/silent.ts";

const backends = [available];
// Two instances on one database server without Redis share nothing but the database.
if (available.dialect === "mysql" && available.redis)
  backends.push(describeBackend(`${available.name}, but not Redis`, available.database, null));

describe.each(backends)("sessions on $name", (available) => {
  const world = useTestApp({ available, instances: 2 });

  async function signedIn(
    from?: Identity,
  ): Promise<Principal & { token: string; email: string; refreshToken: string }> {
    const person = await world.session(from);
    const answer = await world.instance(0).auth.refresh(fromBrowser(person.refreshToken));
    const principal = await world.instance(0).auth.authenticate(answer.accessToken);
    // Make both instances see and cache it.
    await world.instance(1).auth.authenticate(answer.accessToken);
    return {
      ...principal,
      token: answer.accessToken,
      refreshToken: answer.refreshToken,
      email: person.email,
    };
  }

  const adminLine = (action: string, targetId: string) => ({
    actorId: "suite",
    ip: null,
    action,
    targetType: "user",
    targetId,
    reason: null,
  });
  const adminStore = () =>
    createAdminStore({
      database: world.backend.database,
      ledger: world.ledger,
      now: Date.now,
    });

  it("act on the very next request of the other instance, a hundred times in a row", async () => {
    for (let round = 0; round < 100; round++) {
      const person = await signedIn();
      await world.instance(round % 2).auth.logout(fromBrowser(person.refreshToken));
      expect(await codeOf(world.instance(round + 1).auth.authenticate(person.token))).toBe(
        "SESSION_REVOKED",
      );
    }
  });

  it("end alone with revokeSession; the caller's others stay", async () => {
    const subject = randomUUID();
    const email = `${subject}@example.com`;
    const [one, two] = [await signedIn({ email, subject }), await signedIn({ email, subject })];
    await world.instance(0).auth.revokeSession(one, { sessionId: two.sessionId });
    await world.instance(0).auth.revokeSession(one, { sessionId: two.sessionId });
    expect(await codeOf(world.instance(1).auth.authenticate(two.token))).toBe("SESSION_REVOKED");
    expect(await codeOf(world.instance(1).auth.authenticate(one.token))).toBe("OK");
    expect((await world.instance(1).auth.sessions(one)).sessions).toEqual([
      expect.objectContaining({ id: one.sessionId, current: true, ipAddress: "127.0.0.1" }),
    ]);
  });

  it("returns NOT_FOUND when another person's is to be ended, and lists none of them", async () => {
    const [me, other] = [await signedIn(), await signedIn()];
    for (const sessionId of [other.sessionId, randomUUID(), "constructor"]) {
      expect(await codeOf(world.instance(0).auth.revokeSession(me, { sessionId }))).toBe(
        "NOT_FOUND",
      );
    }
    expect(await codeOf(world.instance(0).auth.authenticate(other.token))).toBe("OK");
    const { sessions } = await world.instance(0).auth.sessions(me);
    expect(sessions.map((session) => session.id)).toEqual([me.sessionId]);
  });

  it("all end with logoutAll, this one too", async () => {
    const subject = randomUUID();
    const email = `${subject}@example.com`;
    const [one, two] = [await signedIn({ email, subject }), await signedIn({ email, subject })];
    expect(await world.instance(0).auth.logoutAll(one)).toEqual({ revoked: 2 });
    for (const { token } of [one, two]) {
      expect(await codeOf(world.instance(1).auth.authenticate(token))).toBe("SESSION_REVOKED");
    }
  });

  it("that ran out are neither listed nor counted, and end with logoutAll all the same", async () => {
    const person = await signedIn();
    const past = { id: randomUUID(), userId: person.userId, refreshTokenHash: randomUUID() };
    const at = new Date(Date.now() - 60_000);
    const times = { createdAt: at, rotatedAt: at, lastUsedAt: at, expiresAt: at };
    const { session } = world.models;
    await session.create({ data: { ...past, ...times, absoluteExpiresAt: at } });
    expect((await world.instance(0).auth.sessions(person)).sessions).toHaveLength(1);
    expect(await world.instance(0).auth.logoutAll(person)).toEqual({ revoked: 1 });
    const { id } = past;
    expect(await session.findUnique({ where: { id } })).toMatchObject({
      revokedReason: "logoutAll",
    });
  });

  it("beyond the 200 used last are not listed, and end with logoutAll all the same", async () => {
    const person = await signedIn();
    const { models } = world;
    const later = new Date(Date.now() + 86_400_000);
    const usedAt = (index: number) => new Date(Date.now() - index * 60_000);
    await models.session.createMany({
      data: Array.from({ length: 201 }, (_, index) => ({
        id: randomUUID(),
        userId: person.userId,
        refreshTokenHash: randomUUID(),
        userAgent: `device ${index}`,
        createdAt: usedAt(index),
        rotatedAt: usedAt(index),
        lastUsedAt: usedAt(index),
        expiresAt: later,
        absoluteExpiresAt: later,
      })),
    });
    const { sessions } = await world.instance(0).auth.sessions(person);
    expect(sessions).toHaveLength(200);
    expect(sessions.map(({ userAgent }) => userAgent)).not.toContain("device 200");
    expect(await world.instance(0).auth.logoutAll(person)).toEqual({ revoked: 202 });
  });

  it("end with a disabled account and do not come back when it is enabled", async () => {
    const person = await signedIn();
    const disabledAt = new Date();
    await adminStore().setDisabled(
      person.userId,
      disabledAt,
      adminLine("user.disable", person.userId),
    );
    await world.instance(0).auth.invalidateSessions();
    expect(await codeOf(world.instance(1).auth.authenticate(person.token))).toBe("SESSION_REVOKED");
    await adminStore().setDisabled(person.userId, null, adminLine("user.enable", person.userId));
    await world.instance(0).auth.invalidateSessions();
    expect(await codeOf(world.instance(1).auth.authenticate(person.token))).toBe("SESSION_REVOKED");
    expect(await codeOf(world.instance(1).auth.refresh(fromBrowser(person.refreshToken)))).toBe(
      "SESSION_REVOKED",
    );
  });

  it("live on with a new role, whose first request asks for a fresh access token", async () => {
    const [person, another] = [await signedIn(), await signedIn()];
    await adminStore().setRole(another.userId, "ADMIN", adminLine("user.setRole", another.userId));
    await adminStore().setRole(person.userId, "ADMIN", adminLine("user.setRole", person.userId));
    await world.instance(0).auth.invalidateSessions();
    expect(await codeOf(world.instance(1).auth.authenticate(person.token))).toBe("TOKEN_EXPIRED");
    const renewed = await world.instance(1).auth.refresh(fromBrowser(person.refreshToken));
    expect(await world.instance(0).auth.authenticate(renewed.accessToken)).toMatchObject({
      role: "ADMIN",
    });
    await adminStore().setRole(person.userId, "USER", adminLine("user.setRole", person.userId));
    await world.instance(0).auth.invalidateSessions();
    expect(await codeOf(world.instance(1).auth.authenticate(renewed.accessToken))).toBe(
      "TOKEN_EXPIRED",
    );
  }, 60_000);

  it("are forgotten a day after their absolute end, and not before", async () => {
    const { sessionId } = await signedIn();
    const { models } = world;
    const endedAgo = (ms: number) =>
      models.session.update({
        where: { id: sessionId },
        data: { absoluteExpiresAt: new Date(Date.now() - ms) },
      });
    await endedAgo(86_000_000);
    const jobs = createJobRunner({
      database: world.backend.database,
      logger: silent,
      jobs: retentionJobs({
        store: createRetentionStore(world.backend.database),
        now: Date.now,
      }),
    });
    await jobs.runNow("sessions-prune");
    expect(await models.session.count({ where: { id: sessionId } })).toBe(1);
    await endedAgo(87_000_000);
    expect(await jobs.runNow("sessions-prune")).toMatchObject({
      result: { rows: 1, lagSeconds: 0 },
    });
    expect(await models.session.count({ where: { id: sessionId } })).toBe(0);
  });

  it("known to the database and lost by the cache stay revoked", async () => {
    const person = await signedIn();
    await world.instance(0).auth.logout(fromBrowser(person.refreshToken));
    // For authentication, equivalent to a flushed Redis.
    await world.backend.cache.delete("auth:epoch");
    for (const index of [0, 1]) {
      expect(await codeOf(world.instance(index).auth.authenticate(person.token))).toBe(
        "SESSION_REVOKED",
      );
    }
  });

  it("are asked for in few queries by many requests at once", async () => {
    const people: Awaited<ReturnType<typeof signedIn>>[] = [];
    while (people.length < 30) people.push(await signedIn());
    const answers = await Promise.all(
      Array.from({ length: 600 }, (_, index) => {
        const person = people[index % people.length];
        return world.instance(index % 2).auth.authenticate(person?.token ?? null);
      }),
    );
    for (const [index, answer] of answers.entries()) {
      expect(answer.userId).toBe(people[index % people.length]?.userId);
    }
  });
});
