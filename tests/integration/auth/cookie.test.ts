// The refresh cookie over real HTTP: set, renewed and cleared as PROMISES.md says, and never by GET.
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { procedures } from "../../../server/http/trpc/procedures.ts";
import { FRONTEND } from "../../support/server-env.ts";
import { useTestApp } from "../../support/use-app.ts";
import { bearer } from "../../support/wire-call.ts";

describe("the refresh cookie", () => {
  const world = useTestApp({});

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

  it.each([
    ["auth.refresh", { "trpc-accept": "application/jsonl" }],
    ["auth.refresh", { accept: "text/plain, application/jsonl" }],
    ["auth.logout", { "trpc-accept": "application/jsonl" }],
    ["auth.logoutAll", { "trpc-accept": "application/jsonl" }],
    ["user.delete", { "trpc-accept": "application/jsonl" }],
  ])("is not lost in a streamed batch: %s by %o is refused and does nothing", async (path, how) => {
    const person = await world.person();
    const send = async (headers: Record<string, string>) =>
      fetch(`${world.url}/api/trpc/credit.spend,${path}?batch=1`, {
        method: "POST",
        headers: {
          ...{ "content-type": "application/json", origin: FRONTEND },
          ...{ ...bearer(person.accessToken), ...how, ...headers },
        },
        body: path === "user.delete" ? JSON.stringify({ 1: { confirmEmail: person.email } }) : "{}",
      });
    const session = () =>
      world.models.session.findUnique({
        where: { id: person.sessionId },
        select: { generation: true, revokedAt: true },
      });
    const refused = await send({ cookie: `refresh=${person.refreshToken}` });
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({
      error: { data: { app: { code: "VALIDATION_FAILED" } } },
    });
    expect(await session()).toEqual({ generation: 1, revokedAt: null });
    // Without the cookie there is nothing to lose.
    expect((await send({})).status).toBe(200);
  });

  it("is set by no procedure that does not say so", () => {
    const saying = [...procedures.values()].filter(({ _def }) => _def.meta?.setsCookie);
    const routers = new URL("../../../server/routers/", import.meta.url);
    const sources = readdirSync(routers).map((file) =>
      readFileSync(new URL(file, routers), "utf8"),
    );
    const writes = sources.join("").match(/\.setRefreshCookie\(|clearRefreshCookie\(/g);
    expect(saying).toHaveLength(writes?.length ?? 0);
  });
});
