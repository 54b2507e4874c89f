// Security-relevant events are logged (ASVS 16.3): who, what, from where and why, and no secrets.
import { describe, expect, it } from "vitest";
import { describeBackend } from "../../support/databases.ts";
import { useTestApp } from "../../support/use-app.ts";
import { Browser, newEmail, toCallback } from "./support.ts";
import { bearer } from "../../support/wire-call.ts";

const available = describeBackend("SQLite", null, null);

describe("the log", () => {
  const world = useTestApp({ available, env: { JWT_EXPIRES_IN: "15m" }, logLevel: "info" });

  const events = (name: string) => world.logged().filter((line) => line["event"] === name);

  it("tells of a sign-in: who, how, from where, and no address or token", async () => {
    const browser = new Browser();
    const email = newEmail();
    await browser.get(await toCallback(world, browser, { email }));
    const user = await world.models.user.findUniqueOrThrow({
      where: { email },
    });
    const [line] = events("signed in").filter((one) => one["userId"] === user.id);
    expect(line).toMatchObject({ how: "google", created: true, ip: "127.0.0.1" });
    expect(JSON.stringify(world.logged())).not.toContain(browser.refreshToken);
    expect(JSON.stringify(world.logged())).not.toContain(email);
  });

  it.each([
    ["the person declined", "access_denied", { deny: true }],
    ["this browser did not begin this sign-in", "state_invalid", { email: "x@example.com" }],
  ])("tells of a refused sign-in, and that %s", async (why, signInError, choice) => {
    const browser = new Browser();
    const url = await toCallback(world, browser, choice);
    await (signInError === "state_invalid" ? new Browser() : browser).get(url);
    const line = events("sign-in refused").at(-1);
    expect(line).toMatchObject({ msg: "sign-in refused", signInError, why, ip: "127.0.0.1" });
  });

  it("tells of every denied authorisation: who, what, from where", async () => {
    const person = await world.person();
    const denied = async (path: string, kind: "query" | "mutation", headers = {}) => {
      const before = events("access denied").length;
      await world.call(path, kind, kind === "query" ? undefined : {}, headers);
      // A request's line is logged after its answer has been sent.
      const lines = () => events("access denied").slice(before);
      await expect.poll(lines).toHaveLength(1);
      return lines()[0];
    };
    expect(await denied("auth.me", "query")).toMatchObject({
      code: "UNAUTHENTICATED",
      procedure: "auth.me",
      sessionId: null,
      ip: "127.0.0.1",
    });
    expect(await denied("admin.stats", "query", bearer(person.accessToken))).toMatchObject({
      code: "FORBIDDEN",
      procedure: "admin.stats",
      userId: person.userId,
      sessionId: person.sessionId,
    });
    expect(await denied("service.spend", "mutation", bearer("not-a-key"))).toMatchObject({
      code: "UNAUTHENTICATED",
      procedure: "service.spend",
    });
    const foreign = { origin: "https://evil.example", cookie: `refresh=${person.refreshToken}` };
    expect(await denied("auth.refresh", "mutation", foreign)).toMatchObject({
      code: "FORBIDDEN",
      origin: "https://evil.example",
    });
    await world.app.services.auth.logoutAll({ ...person, role: "USER" });
    expect(await denied("auth.me", "query", bearer(person.accessToken))).toMatchObject({
      code: "SESSION_REVOKED",
    });
    expect(JSON.stringify(world.logged())).not.toContain(person.accessToken);
  });

  it("tells of a refresh token used again, and of an administrator's writes", async () => {
    const person = await world.person();
    const admin = await world.person("ADMIN");
    const renew = (refreshToken: string) =>
      world.call("auth.refresh", "mutation", { refreshToken });
    const next = (await renew(person.refreshToken)).data as { refreshToken: string };
    await renew(next.refreshToken);
    expect((await renew(person.refreshToken)).code).toBe("REFRESH_REUSED");
    expect(events("refresh token reused").at(-1)).toMatchObject({
      userId: person.userId,
      ip: "127.0.0.1",
    });
    const headers = bearer(admin.accessToken);
    const input = { userId: person.userId, role: "ADMIN" };
    expect((await world.call("admin.setRole", "mutation", input, headers)).code).toBeNull();
    expect(events("admin write").at(-1)).toMatchObject({
      action: "user.setRole",
      actorId: admin.userId,
      targetId: person.userId,
      outcome: "done",
    });
    const nobody = { userId: "nobody", role: "ADMIN" };
    await world.call("admin.setRole", "mutation", nobody, headers);
    expect(events("admin write").at(-1)).toMatchObject({
      targetId: "nobody",
      outcome: "NOT_FOUND",
    });
    const refund = { paymentId: "nothing", idempotencyKey: "refund-1", reason: "A test" };
    for (const [call, input, targetId] of [
      ["admin.refundPayment", refund, "nothing"],
      ["admin.replayEvent", { eventId: "evt_nothing" }, "evt_nothing"],
    ] as const) {
      expect((await world.call(call, "mutation", input, headers)).code).toBe("NOT_FOUND");
      expect(events("admin write").at(-1)).toMatchObject({ targetId, outcome: "NOT_FOUND" });
    }
  });
});
