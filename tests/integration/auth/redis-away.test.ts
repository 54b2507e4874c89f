// Redis does not decide who is signed in (promise 11), whether unavailable, silent, flushed or back again.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { describeBackend } from "../../support/databases.ts";
import { availableServers } from "../../support/servers.ts";
import { startTcpProxy, type TcpProxy } from "../../support/tcp-proxy.ts";
import { openTestApp, type TestApp } from "../../support/server.ts";
import { codeOf } from "../../support/code-of.ts";
import { Browser, fromBrowser, landingOf, newEmail, toCallback } from "./support.ts";
import { within } from "../../support/own-time.ts";

const { databases, redis } = await availableServers();

const production = redis === null ? [] : databases;

// Vitest reports a file without tests as an error.
it.skipIf(production.length === 0)("there are a database server and Redis to cut off", () => {
  expect(redis).not.toBeNull();
});

describe.each(production)("sign-in without Redis on $name", (server) => {
  let world: TestApp;
  let proxy: TcpProxy;
  beforeAll(async () => {
    const target = new URL(redis?.url ?? "");
    proxy = await startTcpProxy(target.hostname, Number(target.port || 6379));
    const through = new URL(target);
    through.hostname = "127.0.0.1";
    through.port = String(proxy.port);
    world = await openTestApp({
      available: describeBackend("through a proxy", server.url, through.href),
      instances: 2,
    });
  });
  afterEach(() => proxy.restore());
  afterAll(async () => {
    await world.close();
    await proxy.close();
  });

  it.each(["refuse", "silence"] as const)(
    "signs in, refreshes and revokes in time when Redis meets everyone with %s",
    async (fault) => {
      const person = await world.session();
      const before = await world.instance(0).auth.refresh(fromBrowser(person.refreshToken));
      await world.instance(1).auth.authenticate(before.accessToken);
      proxy[fault]();
      const inTime = <Answer>(work: () => Promise<Answer>) => within(8_000, work);
      const [here, there] = [world.instance(0).auth, world.instance(1).auth];
      await inTime(() => here.authenticate(before.accessToken));
      const after = await inTime(() => there.refresh(fromBrowser(before.refreshToken)));
      await inTime(() => here.authenticate(after.accessToken));

      const email = newEmail();
      const browser = new Browser();
      const url = await toCallback(world, browser, { email });
      const replays = [browser.copy(), browser.copy(), browser.copy()];
      const landings = await Promise.all(
        replays.map(async (copy) => landingOf(await copy.get(url)).error),
      );
      // Without the cache, the sessions' primary key and the provider's single use of the code still allow only one.
      expect(landings.filter((error) => error === null)).toHaveLength(1);

      await inTime(() => here.logout(fromBrowser(after.refreshToken)));
      for (const auth of [here, there]) {
        const code = await inTime(() => codeOf(auth.authenticate(after.accessToken)));
        expect(code).toBe("SESSION_REVOKED");
      }
    },
  );

  it("refuses with SESSION_REVOKED after Redis is back, though it did not hear of the revocation", async () => {
    const person = await world.session();
    const { accessToken, refreshToken } = await world
      .instance(0)
      .auth.refresh(fromBrowser(person.refreshToken));
    await world.instance(1).auth.authenticate(accessToken);
    proxy.refuse();
    await world.instance(0).auth.logout(fromBrowser(refreshToken));
    expect(await codeOf(world.instance(1).auth.authenticate(accessToken))).toBe("SESSION_REVOKED");
    proxy.restore();
    const until = Date.now() + 4_000;
    while (Date.now() < until) {
      for (const index of [0, 1]) {
        expect(await codeOf(world.instance(index).auth.authenticate(accessToken))).toBe(
          "SESSION_REVOKED",
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
});
