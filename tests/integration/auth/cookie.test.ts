// The refresh cookie over real HTTP: set, renewed and cleared as PROMISES.md says, and never by GET.
import { describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { FRONTEND } from "../../support/server-env.ts";
import { useTestApp } from "../../support/use-app.ts";

describe("the refresh cookie", () => {
  const world = useTestApp({ available });

  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

  it("never refreshes by GET", async () => {
    const person = await world.person();
    const headers = { cookie: `refresh=${person.refreshToken}`, origin: FRONTEND };
    for (const path of ["/api/trpc/auth.refresh", "/api/auth/refresh"]) {
      const response = await fetch(world.url + path, { headers });
      expect(response.status, path).toBeGreaterThanOrEqual(400);
      expect(response.headers.getSetCookie()).toEqual([]);
    }
    const post = await world.call("auth.refresh", "mutation", undefined, headers);
    expect(post.code).toBeNull();
    expect(post.response.headers.get("cache-control")).toContain("no-store");
    expect(post.response.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^refresh=skr_[\w-]+; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax$/),
    ]);
    expect(JSON.stringify(post.data)).not.toContain("skr_");
  });

  it("gives a client without cookies its refresh token in the body, and no cookie", async () => {
    const person = await world.person();
    const answer = await world.call("auth.refresh", "mutation", {
      refreshToken: person.refreshToken,
    });
    const { refreshToken } = answer.data as { refreshToken: string };
    expect(refreshToken).toMatch(/^skr_/);
    expect(answer.response.headers.getSetCookie()).toEqual([]);
    const out = await world.call("auth.logout", "mutation", {
      refreshToken,
    });
    expect(out.data).toEqual({});
    const me = await world.call("auth.me", "query", undefined, bearer(person.accessToken));
    expect(me.code).toBe("SESSION_REVOKED");
  });

  it("clears the cookie with the attributes it was set with", async () => {
    const person = await world.person();
    const answer = await world.call("auth.logout", "mutation", undefined, {
      cookie: `refresh=${person.refreshToken}`,
      origin: FRONTEND,
    });
    expect(answer.response.headers.getSetCookie()).toEqual([
      "refresh=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax",
    ]);
  });
});
