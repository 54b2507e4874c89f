// Redis decides nothing about who is signed in (promise 11): away, silent, flushed, back again.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { describeBackend } from "../../support/databases.ts";
import { availableServers } from "../../support/servers.ts";
import { startTcpProxy, type TcpProxy } from "../../support/tcp-proxy.ts";
import {
  Browser,
  codeOf,
  fromBrowser,
  landingOf,
  openWorld,
  toCallback,
  type World,
} from "./world.ts";

const { databases, redis } = await availableServers();

const production = redis === null ? [] : databases;

// Vitest takes a file without a test for a mistake.
it.skipIf(production.length === 0)("there are a database server and Redis to cut off", () => {
  expect(redis).not.toBeNull();
});

describe.each(production)("sign-in without Redis on $name", (server) => {
  let world: World;
  let proxy: TcpProxy;
  beforeAll(async () => {
    const target = new URL(redis?.url ?? "");
    proxy = await startTcpProxy(target.hostname, Number(target.port || 6379));
    const through = new URL(target);
    through.hostname = "127.0.0.1";
    through.port = String(proxy.port);
    world = await openWorld(describeBackend("through a proxy", server.url, through.href), {
      instances: 2,
    });
  });
  afterEach(() => proxy.restore());
  afterAll(async () => {
    await world.close();
    await proxy.close();
  });

  const instance = (index: number) => {
    const found = world.instances[index];
    if (found === undefined) throw new Error("no instance");
    return found.auth;
  };

  it.each(["refuse", "silence"] as const)(
    "works on when Redis meets everyone with %s: sign-in, refresh, revocation, nothing over a second",
    async (fault) => {
      const person = await world.person();
      const before = await instance(0).refresh(fromBrowser(person.refreshToken));
      await instance(1).authenticate(before.accessToken);
      proxy[fault]();
      const timed = async <T>(work: () => Promise<T>): Promise<T> => {
        const startedAt = Date.now();
        const answer = await work();
        expect(Date.now() - startedAt).toBeLessThan(2_000);
        return answer;
      };
      await timed(() => instance(0).authenticate(before.accessToken));
      const after = await timed(() => instance(1).refresh(fromBrowser(before.refreshToken)));
      await timed(() => instance(0).authenticate(after.accessToken));

      const email = `${crypto.randomUUID()}@example.com`;
      const browser = new Browser();
      const url = await toCallback(world, browser, { email });
      const replays = [browser.copy(), browser.copy(), browser.copy()];
      const landings = await Promise.all(
        replays.map(async (copy) => landingOf(await copy.get(url)).error),
      );
      // Without the cache the sessions' primary key and the provider's single use of the code still allow one.
      expect(landings.filter((error) => error === null)).toHaveLength(1);

      await timed(() => instance(0).logout(fromBrowser(after.refreshToken)));
      for (const index of [0, 1]) {
        expect(await codeOf(timed(() => instance(index).authenticate(after.accessToken)))).toBe(
          "SESSION_REVOKED",
        );
      }
    },
  );

  it("a revocation that Redis did not hear of holds after Redis is back", async () => {
    const person = await world.person();
    const { accessToken, refreshToken } = await instance(0).refresh(
      fromBrowser(person.refreshToken),
    );
    await instance(1).authenticate(accessToken);
    proxy.refuse();
    await instance(0).logout(fromBrowser(refreshToken));
    expect(await codeOf(instance(1).authenticate(accessToken))).toBe("SESSION_REVOKED");
    proxy.restore();
    const until = Date.now() + 4_000;
    while (Date.now() < until) {
      for (const index of [0, 1]) {
        expect(await codeOf(instance(index).authenticate(accessToken))).toBe("SESSION_REVOKED");
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
});
