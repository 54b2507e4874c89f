// Promise 20 for streams: they end within a second of their caller's authority, on any instance.
import { describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import type { Person } from "../../support/people.ts";
import { useTestApp } from "../../support/use-app.ts";

interface Stream {
  /** The code it ended with (null: without one), and how long that took after `since`. */
  ended(since: () => Promise<unknown>): Promise<{ code: string | null; afterMs: number }>;
  readonly text: () => string;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("streams", () => {
  const world = useTestApp({ available, instances: 2 });

  /** Opens `credit.onChange` and reads it to its end. */
  async function open(person: Person): Promise<Stream> {
    const response = await fetch(`${world.url}/api/trpc/credit.onChange`, {
      headers: { accept: "text/event-stream", authorization: `Bearer ${person.accessToken}` },
    });
    let text = "";
    let endedAtMs = 0;
    const decoder = new TextDecoder();
    const reading = (async () => {
      for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>)
        text += decoder.decode(chunk, { stream: true });
      endedAtMs = performance.now();
    })();
    const deadlineMs = Date.now() + 10_000;
    while (!text.includes('"credits":') && Date.now() < deadlineMs) await pause(10);
    expect(text).toContain('"credits":');
    return {
      text: () => text,
      async ended(since) {
        await since();
        const startedAtMs = performance.now();
        await Promise.race([reading, pause(15_000)]);
        const code = /"app":\{"code":"([A-Z_]+)"/.exec(text)?.[1] ?? null;
        return { code, afterMs: endedAtMs - startedAtMs };
      },
    };
  }

  const userRow = (userId: string) => ({ userId, reason: "suite" });
  const ends: [string, string, (person: Person, admin: Person) => Promise<unknown>][] = [
    [
      "logout",
      "SESSION_REVOKED",
      ({ refreshToken }) =>
        world.instance(1).auth.logout({
          cookieTokens: [],
          bodyToken: refreshToken,
          origin: null,
          userAgent: null,
          ip: "192.0.2.1",
        }),
    ],
    [
      "revocation of the session",
      "SESSION_REVOKED",
      ({ userId, sessionId }) =>
        world
          .instance(1)
          .auth.revokeSession({ userId, sessionId: "x", role: "USER" }, { sessionId }),
    ],
    [
      "logout everywhere",
      "SESSION_REVOKED",
      ({ userId, sessionId }) =>
        world.instance(1).auth.logoutAll({ userId, sessionId, role: "USER" }),
    ],
    [
      "disabling",
      "SESSION_REVOKED",
      (person, admin) =>
        world
          .instance(1)
          .admin.disableUser({ ...admin, role: "ADMIN" }, userRow(person.userId), null),
    ],
    [
      "deletion",
      "SESSION_REVOKED",
      ({ userId, sessionId, email }) =>
        world.instance(1).user.delete(
          { userId, sessionId, role: "USER" },
          {
            confirmEmail: email,
          },
        ),
    ],
    [
      "a change of role",
      "TOKEN_EXPIRED",
      (person, admin) =>
        world
          .instance(1)
          .admin.setRole(
            { ...admin, role: "ADMIN" },
            { ...userRow(person.userId), role: "ADMIN" },
            null,
          ),
    ],
  ];
  it.each(ends)("end within a second of %s on another instance", async (_name, code, end) => {
    const admin = await world.person("ADMIN");
    const [person, bystander] = [await world.person(), await world.person()];
    const [stream, untouched] = [await open(person), await open(bystander)];
    const end_ = await stream.ended(() => end(person, admin));
    expect(end_.code).toBe(code);
    expect(end_.afterMs).toBeLessThan(1_000);
    expect(untouched.text()).not.toContain('"code"');
  });

  it("end when their access token does", async () => {
    const person = await world.person();
    const stream = await open(person);
    const { code, afterMs } = await stream.ended(async () => {
      world.clock.aheadMs += 901_000;
    });
    world.clock.aheadMs = 0;
    expect(code).toBe("TOKEN_EXPIRED");
    expect(afterMs).toBeLessThan(1_500);
  });
});
