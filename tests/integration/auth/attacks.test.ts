// Attacks on the callback: state, code, issuer, error (promise 4, RFC 9700).
import { afterEach, describe, expect, it } from "vitest";
import type { SignInError } from "../../../shared/src/errors.ts";
import { available } from "../../support/backend.ts";
import { useTestApp } from "../../support/use-app.ts";
import {
  Browser,
  expectRefused,
  landingOf,
  newEmail,
  sessionCount,
  toCallback,
} from "./support.ts";

describe("sign-in attacks", () => {
  const world = useTestApp({ available });
  afterEach(() => {
    world.sandbox.google.control.wellBehaved();
    world.clock.aheadMs = 0;
  });

  const refused = expectRefused.bind(null, world);
  const sessionsOf = (email: string) => sessionCount(world, email);

  describe("state", () => {
    it("refuses with state_invalid when it is missing, doubled or foreign", async () => {
      const browser = new Browser();
      const email = newEmail();
      const url = new URL(await toCallback(world, browser, { email }));
      const state = url.searchParams.get("state") ?? "";
      const without = new URL(url);
      without.searchParams.delete("state");
      await refused("state_invalid", browser.copy(), without.href, email);
      await refused("state_invalid", browser.copy(), `${url.href}&state=${state}`, email);
      const foreign = new URL(url);
      foreign.searchParams.set("state", "A".repeat(43));
      await refused("state_invalid", browser.copy(), foreign.href, email);
      const array = url.href.replace("state=", "state[]=");
      await refused("state_invalid", browser.copy(), array, email);
    });

    it("refuses with state_invalid when it is another browser's (login CSRF)", async () => {
      const attacker = new Browser();
      const email = newEmail();
      const url = await toCallback(world, attacker, { email });
      await refused("state_invalid", new Browser(), url, email);
      const victim = new Browser();
      await victim.get(`${world.url}/api/auth/google`);
      await refused("state_invalid", victim, url, email);
    });

    it("signs in once when it is sent eight times at once, and refuses it afterwards", async () => {
      const email = newEmail();
      const browser = new Browser();
      const url = await toCallback(world, browser, { email });
      const replays = Array.from({ length: 8 }, () => browser.copy());
      const landings = await Promise.all(
        replays.map(async (copy) => landingOf(await copy.get(url)).error),
      );
      expect(landings.filter((error) => error === null)).toHaveLength(1);
      expect(await sessionsOf(email)).toBe(1);
      await refused("state_invalid", browser, url);
      expect(await sessionsOf(email)).toBe(1);
    });

    it("refuses with state_expired when it is older than 10 minutes", async () => {
      const browser = new Browser();
      const email = newEmail();
      const url = await toCallback(world, browser, { email });
      world.clock.aheadMs = 600_001;
      await refused("state_expired", browser, url, email);
    });

    it("refuses it when it was sent before, even if that sign-in failed", async () => {
      const email = newEmail();
      const browser = new Browser();
      const url = await toCallback(world, browser, { email });
      world.sandbox.google.control.faultyTokens("wrong-nonce");
      await refused("identity_invalid", browser.copy(), url, email);
      await refused("state_invalid", browser.copy(), url, email);
    });

    it("refuses it with a good code after the provider's refusal came with it", async () => {
      const email = newEmail();
      const browser = new Browser();
      const url = new URL(await toCallback(world, browser, { email }));
      const refusal = new URL(url);
      refusal.searchParams.delete("code");
      refusal.searchParams.set("error", "access_denied");
      await refused("access_denied", browser.copy(), refusal.href, email);
      await refused("state_invalid", browser.copy(), url.href, email);
    });
  });

  describe("code", () => {
    it("refuses with code_invalid when it is missing, doubled, endless or made up", async () => {
      const email = newEmail();
      const change = async (work: (url: URL) => void) => {
        const browser = new Browser();
        const url = new URL(await toCallback(world, browser, { email }));
        work(url);
        await refused("code_invalid", browser, url.href, email);
      };
      await change((url) => url.searchParams.delete("code"));
      await change((url) => url.searchParams.append("code", "another"));
      await change((url) => url.searchParams.set("code", "x".repeat(3_000)));
      await change((url) => url.searchParams.set("code", "made-up"));
      await change((url) => url.searchParams.set("code", ""));
    });

    it("refuses with code_invalid when it is another attempt's, by the PKCE verifier (code injection)", async () => {
      const [victim, attacker] = [new Browser(), new Browser()];
      const email = newEmail();
      const stolen = new URL(await toCallback(world, victim, { email }));
      const own = new URL(await toCallback(world, attacker, { email: newEmail() }));
      own.searchParams.set("code", stolen.searchParams.get("code") ?? "");
      await refused("code_invalid", attacker, own.href, email);
    });

    it("refuses with identity_invalid when another issuer sends it (mix-up)", async () => {
      const browser = new Browser();
      const email = newEmail();
      const url = new URL(await toCallback(world, browser, { email }));
      url.searchParams.set("iss", "https://evil.example");
      await refused("identity_invalid", browser, url.href, email);
    });
  });

  it("ends in access_denied when consent is declined, and repeats nobody's markup", async () => {
    const browser = new Browser();
    const url = new URL(await toCallback(world, browser, { deny: true }));
    url.searchParams.set("error_description", "<script>alert(1)</script>");
    const response = await browser.get(url.href);
    expect(landingOf(response).error).toBe("access_denied");
    expect(response.headers.get("location")).not.toMatch(/script/i);
    expect(await response.text()).toBe("");
  });

  it.each([
    ["server_error", "provider_unavailable"],
    ["temporarily_unavailable", "provider_unavailable"],
    ["invalid_request", "provider_error"],
    ["<b>", "provider_error"],
  ])("takes error=%s from the provider as %s", async (sent, expected) => {
    const browser = new Browser();
    const url = new URL(await toCallback(world, browser, { deny: true }));
    url.searchParams.set("error", sent);
    await refused(expected as SignInError, browser, url.href);
  });

  it("keeps five attempts of one browser at most", async () => {
    const browser = new Browser();
    for (let tab = 0; tab < 9; tab++) {
      world.clock.aheadMs += 1_000;
      await browser.get(`${world.url}/api/auth/google`);
    }
    expect(browser.cookies.size).toBe(5);
  });

  it("does not spend a sign-in on a HEAD request", async () => {
    const browser = new Browser();
    const email = newEmail();
    const url = await toCallback(world, browser, { email });
    const head = await fetch(url, { method: "HEAD", redirect: "manual" });
    expect(head.status).toBe(405);
    expect(landingOf(await browser.get(url)).error).toBeNull();
  });

  it("refuses with state_invalid when the callback is opened by hand", async () => {
    await refused("state_invalid", new Browser(), `${world.url}/api/auth/google/callback`);
  });
});
