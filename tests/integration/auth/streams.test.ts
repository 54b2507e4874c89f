// Promise 20 for streams: they end within a second of their caller's authority, on any instance.
import { describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import type { Person } from "../../support/people.ts";
import { useTestApp } from "../../support/use-app.ts";
import { within } from "../../support/own-time.ts";

interface Stream {
  /** The code it ended with; null: without one, or not at all. */
  ended(): Promise<string | null>;
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
  it.each(ends)(
    "end with a code within a second, and nobody else's do, after %s on another instance",
    async (_name, code, end) => {
      const admin = await world.person("ADMIN");
      const [person, bystander] = [await world.person(), await world.person()];
      const [stream, untouched] = [await open(person), await open(bystander)];
      await end(person, admin);
      expect(await within(1_000, stream.ended)).toBe(code);
      expect(untouched.text()).not.toContain('"code"');
    },
  );

  it("end when their access token does", async () => {
    const person = await world.person();
    const stream = await open(person);
    world.clock.aheadMs += 901_000;
    const code = await within(1_500, stream.ended);
    world.clock.aheadMs = 0;
    expect(code).toBe("TOKEN_EXPIRED");
  });
});
