// Promise 20 for streams: they end within a second of their caller losing access, on any instance.
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { available } from "../../support/backend.ts";
import type { Person } from "../../support/people.ts";
import { useTestApp } from "../../support/use-app.ts";
import { within } from "../../support/own-time.ts";

interface Stream {
  /** The code it ended with; null if it ended without one, or not at all. */
  ended(): Promise<string | null>;
  readonly text: () => string;
}

const TRPC = "/api/trpc/credit.onChange";
const REST = "/api/user/credits/events";
/** How many streams one user may have open. */
const MOST = 20;

describe("streams", () => {
  const world = useTestApp({ available, instances: 2 });

  /** Opens `credit.onChange` and reads it to its end. */
  async function open(person: Person, path: string = TRPC): Promise<Stream> {
    const response = await fetch(world.url + path, {
      headers: { accept: "text/event-stream", authorization: `Bearer ${person.accessToken}` },
    });
    let text = "";
    const decoder = new TextDecoder();
    const reading = (async () => {
      for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>)
        text += decoder.decode(chunk, { stream: true });
    })();
    await expect.poll(() => text, { timeout: 30_000 }).toContain('"credits":');
    return {
      text: () => text,
      async ended() {
        await Promise.race([reading, pause(30_000)]);
        return /"app":\{"code":"([A-Z_]+)"/.exec(text)?.[1] ?? null;
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
          refreshCookies: [],
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
  it.each(ends)(
    "end with a code, and nobody else's do, after %s on another instance",
    async (_name, code, end) => {
      const admin = await world.person("ADMIN");
      const [person, bystander] = [await world.person(), await world.person()];
      const [stream, untouched] = [await open(person), await open(bystander)];
      await end(person, admin);
      // Within a second on an idle machine.
      expect(await within(10_000, stream.ended)).toBe(code);
      expect(untouched.text()).not.toContain('"code"');
    },
  );

  it("end when their access token does", async () => {
    const person = await world.person();
    const stream = await open(person);
    world.clock.aheadMs += 901_000;
    const code = await within(10_000, stream.ended);
    world.clock.aheadMs = 0;
    expect(code).toBe("TOKEN_EXPIRED");
  });

  it.each([TRPC, REST])("leave their places when their sessions are revoked: %s", async (path) => {
    const { userId } = await world.person();
    const again = () => world.signInAgain(userId);
    const sessions = await Promise.all(Array.from({ length: MOST }, again));
    const streams = await Promise.all(sessions.map((session) => open(session, path)));
    const principal = { userId, sessionId: "x", role: "USER" } as const;
    for (const { sessionId } of sessions) await world.auth.revokeSession(principal, { sessionId });
    await Promise.all(streams.map(({ ended }) => ended()));
    for (const { text } of streams) expect(text()).toContain("SESSION_REVOKED");
    expect((await open(await again(), path)).text()).not.toContain('"code"');
  });

  it("leave their places when they have lasted long enough, over REST", async () => {
    const person = await world.person();
    const timeout = AbortSignal.timeout.bind(AbortSignal);
    const soon = (ms: number) => timeout(ms === 600_000 ? 1_000 : ms);
    const spy = vi.spyOn(AbortSignal, "timeout").mockImplementation(soon);
    onTestFinished(() => spy.mockRestore());
    const streams = await Promise.all(Array.from({ length: MOST }, () => open(person, REST)));
    await Promise.all(streams.map(({ ended }) => ended()));
    expect((await open(person, REST)).text()).not.toContain('"code"');
  });
});
