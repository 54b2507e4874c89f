// Bad input to refresh and session (PROMISES.md): each is refused with its code, and none changes anything.
import { randomUUID } from "node:crypto";
import { SignJWT } from "jose";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { RefreshRequest } from "../../../server/auth/auth.types.ts";
import { createRefreshTokens } from "../../../server/auth/session/refresh-token.ts";
import { createUserStore } from "../../../server/user/user.store.ts";
import { available } from "../../support/backend.ts";
import { FRONTEND, REFRESH_SECRET } from "../../support/server-env.ts";
import { useTestApp } from "../../support/use-app.ts";
import { codeOf } from "../../support/code-of.ts";
import { fromBrowser } from "./support.ts";

describe("refused refreshes", () => {
  const world = useTestApp({
    available,
    instances: 2,
    env: { FRONTEND_URL: `${FRONTEND},https://app.example` },
  });
  afterEach(() => {
    world.clock.aheadMs = 0;
  });

  const auth = () => world.instance(0).auth;
  const models = () => world.models;
  const session = (id: string) =>
    models().session.findUniqueOrThrow({
      where: { id },
      omit: { refreshTokenHash: false, previousTokenHash: false },
    });

  it.each([
    ["no cookie", []],
    ["an empty cookie", [""]],
    ["garbage", ["garbage"]],
    ["a JWT", ["eyJhbGciOiJub25lIn0.e30."]],
    ["a megabyte", ["x".repeat(1_000_000)]],
    ["a token of no session", [createRefreshTokens([REFRESH_SECRET]).first(randomUUID()).text]],
  ])("refuses %s", async (_name, cookies) => {
    expect(await codeOf(auth().refresh(fromBrowser(...cookies)))).toBe("UNAUTHENTICATED");
  });

  it("refuses an access token in its place, and a refresh token in the access token's", async () => {
    const { refreshToken } = await world.session();
    const { accessToken, refreshToken: next } = await auth().refresh(fromBrowser(refreshToken));
    expect(await codeOf(auth().refresh(fromBrowser(accessToken)))).toBe("UNAUTHENTICATED");
    expect(await codeOf(auth().authenticate(next))).toBe("UNAUTHENTICATED");
    const idToken = await new SignJWT({ sub: "1" })
      .setProtectedHeader({ alg: "HS256", typ: "JWT" })
      .sign(new TextEncoder().encode(REFRESH_SECRET));
    expect(await codeOf(auth().authenticate(idToken))).toBe("UNAUTHENTICATED");
  });

  it("refuses two different cookies of its name (tossing), takes the same one twice", async () => {
    const [victim, attacker] = [await world.session(), await world.session()];
    for (const cookies of [
      [victim.refreshToken, attacker.refreshToken],
      [attacker.refreshToken, victim.refreshToken],
      [victim.refreshToken, "garbage"],
    ]) {
      expect(await codeOf(auth().refresh(fromBrowser(...cookies)))).toBe("UNAUTHENTICATED");
    }
    const both = fromBrowser(victim.refreshToken, victim.refreshToken);
    expect(await codeOf(auth().refresh(both))).toBe("OK");
  });

  it.each([
    ["a foreign origin", "https://evil.example"],
    ["null", "null"],
    ["a look-alike by prefix", `${FRONTEND}.evil.example`],
    ["a look-alike by suffix", "http://evil-localhost:3000"],
    ["another scheme", "https://localhost:3000"],
    ["another port", "http://localhost:3001"],
    ["another case", "HTTP://LOCALHOST:3000"],
    ["a path", `${FRONTEND}/`],
  ])("refuses the cookie from %s, for refresh and for logout", async (_name, origin) => {
    const { refreshToken, sessionId } = await world.session();
    const request = { ...fromBrowser(refreshToken), origin };
    expect(await codeOf(auth().refresh(request))).toBe("FORBIDDEN");
    expect(await codeOf(auth().logout(request))).toBe("FORBIDDEN");
    const withBody = { ...request, bodyToken: refreshToken };
    expect(await codeOf(auth().refresh(withBody))).toBe("FORBIDDEN");
    expect(await session(sessionId)).toMatchObject({ generation: 0, revokedAt: null });
  });

  it.each([
    ["every configured origin", "https://app.example"],
    ["a client that is no browser", null],
  ])("takes the cookie from %s", async (_name, origin) => {
    const { refreshToken } = await world.session();
    expect(await codeOf(auth().refresh({ ...fromBrowser(refreshToken), origin }))).toBe("OK");
  });

  it("refuses after logout, after logout-all, of a disabled and of a deleted user", async () => {
    const gone = await world.session();
    await auth().logout(fromBrowser(gone.refreshToken));
    await auth().logout(fromBrowser(gone.refreshToken));
    expect(await codeOf(auth().refresh(fromBrowser(gone.refreshToken)))).toBe("SESSION_REVOKED");

    const everywhere = await world.session();
    const { accessToken } = await auth().refresh(fromBrowser(everywhere.refreshToken));
    const principal = await auth().authenticate(accessToken);
    expect(await auth().logoutAll(principal)).toEqual({ revoked: 1 });
    const next = fromBrowser(everywhere.refreshToken);
    expect(await codeOf(world.instance(1).auth.refresh(next))).toBe("SESSION_REVOKED");

    const disabled = await world.session();
    await models().user.update({
      where: { id: disabled.userId },
      data: { disabledAt: new Date() },
    });
    expect(await codeOf(auth().refresh(fromBrowser(disabled.refreshToken)))).toBe(
      "SESSION_REVOKED",
    );

    const deleted = await world.session();
    const users = createUserStore(world.opened.backend.database);
    await users.erase(deleted.userId, new Date());
    expect(await codeOf(auth().refresh(fromBrowser(deleted.refreshToken)))).toBe("SESSION_REVOKED");
  });

  it("learns when its client leaves", async () => {
    let arrive: (request: RefreshRequest) => void = () => undefined;
    const arrived = new Promise<RefreshRequest>((resolve) => (arrive = resolve));
    const refresh = vi.spyOn(auth(), "refresh").mockImplementation((request) => {
      arrive(request);
      return new Promise(() => undefined);
    });
    onTestFinished(() => refresh.mockRestore());
    const leave = new AbortController();
    const asked = fetch(`${world.url}/api/auth/refresh`, { method: "POST", signal: leave.signal });
    const { hasDisconnected } = await arrived;
    expect(hasDisconnected?.()).toBe(false);
    leave.abort();
    await expect(asked).rejects.toThrow();
    await expect.poll(() => hasDisconnected?.()).toBe(true);
  });

  it("does not tell a stolen logged-out token from a reused one by reviving anything", async () => {
    const { refreshToken } = await world.session();
    const one = await auth().refresh(fromBrowser(refreshToken));
    await auth().logout(fromBrowser(one.refreshToken));
    expect(await codeOf(auth().refresh(fromBrowser(refreshToken)))).toBe("SESSION_REVOKED");
  });
});
