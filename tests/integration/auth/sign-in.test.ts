// Promise 4: sign-in according to RFC 9700 and OpenID Connect, attack by attack, against a real provider.
import { randomUUID } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import { userFor } from "../../../server/sandbox/src/google/users.ts";
import { available } from "../../support/backend.ts";
import { useTestApp } from "../../support/use-app.ts";
import {
  Browser,
  expectRefused,
  fromBrowser,
  fromNative,
  landingOf,
  newEmail,
  sessionCount,
  signInWith,
  toCallback,
} from "./support.ts";

describe("sign-in", () => {
  const adminEmails: string[] = [];
  const world = useTestApp({ available, config: { adminEmails }, logLevel: "debug" });
  afterEach(() => {
    world.sandbox.google.control.wellBehaved();
    world.clock.aheadMs = 0;
    adminEmails.length = 0;
  });

  const models = () => world.models;
  const userOf = (email: string) => models().user.findUnique({ where: { email } });
  const sessionsOf = (email: string) => sessionCount(world, email);

  const signIn = (email: string) => signInWith(world, email);
  const refused = expectRefused.bind(null, world);

  it("makes an account with its signup credits, a session, and no token in any address", async () => {
    const email = newEmail();
    const { browser, response, error, returnTo } = await signIn(email);
    expect([error, returnTo]).toEqual([null, null]);
    expect(response.headers.get("cache-control")).toBe("no-store");
    const token = browser.refreshToken ?? "";
    expect(response.headers.get("location")).not.toContain(token);
    expect(await userOf(email)).toMatchObject({ credits: 100, role: "USER", ledgerSeq: 1 });
    const { accessToken } = await world.auth.refresh(fromBrowser(token));
    const principal = await world.auth.authenticate(accessToken);
    expect((await world.user.profile(principal)).user).toMatchObject({ email, credits: 100 });
    // The attempt's cookie is gone; only the refresh cookie is left.
    expect([...browser.cookies.keys()]).toEqual(["refresh"]);
  });

  it("goes out with PKCE S256, state, nonce and exactly our redirect, whatever the Host header says", async () => {
    const browser = new Browser();
    const out = await browser.get(`${world.url}/api/auth/google?returnTo=/chat`, {
      "x-forwarded-host": "evil.example",
      forwarded: "host=evil.example",
    });
    const url = new URL(out.headers.get("location") ?? "");
    expect(out.status).toBe(302);
    expect(out.headers.get("cache-control")).toBe("no-store");
    expect(url.origin).toBe(world.sandbox.google.issuer);
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      response_type: "code",
      code_challenge_method: "S256",
      redirect_uri: `${world.url}/api/auth/google/callback`,
      scope: "openid email profile",
    });
    for (const name of ["state", "nonce", "code_challenge"]) {
      expect(url.searchParams.get(name)).toMatch(/^[\w-]{43}$/);
    }
    expect(out.headers.getSetCookie()).toEqual([
      expect.stringMatching(
        /^signin_[\w-]{16}=[\w-]+; Path=\/; Max-Age=600; HttpOnly; SameSite=Lax$/,
      ),
    ]);
  });

  it("comes back to a path on the frontend, and to nothing else", async () => {
    const email = newEmail();
    for (const [asked, given] of [
      ["/chat/7?x=1#y", "/chat/7?x=1#y"],
      ["//evil.example", null],
      ["https://evil.example", null],
      ["/\\evil.example", null],
    ] as const) {
      const browser = new Browser();
      const query = `?returnTo=${encodeURIComponent(asked)}`;
      const response = await browser.get(await toCallback(world, browser, { email }, query));
      expect(landingOf(response)).toEqual({ error: null, returnTo: given });
    }
  });

  it("ends the sign-in the same browser had before; its other tab only has to refresh", async () => {
    const email = newEmail();
    const { browser } = await signIn(email);
    const { auth } = world.instances[0];
    const former = browser.refreshToken ?? "";
    const tab = await auth.refresh(fromBrowser(former));
    browser.cookies.set("refresh", tab.refreshToken);
    expect((await signInWith(world, email, browser)).error).toBeNull();
    const current = browser.refreshToken ?? "";
    await expect(auth.authenticate(tab.accessToken)).rejects.toMatchObject({
      code: "TOKEN_EXPIRED",
    });
    await expect(auth.refresh(fromBrowser(tab.refreshToken))).rejects.toMatchObject({
      code: "SESSION_REVOKED",
    });
    const renewed = await auth.refresh(fromBrowser(current));
    const principal = await auth.authenticate(renewed.accessToken);
    expect((await auth.sessions(principal)).sessions).toHaveLength(1);
  });

  it("lets a failed sign-in end nothing", async () => {
    const { browser } = await signIn(newEmail());
    const before = browser.refreshToken ?? "";
    await browser.get(await toCallback(world, browser, { deny: true }));
    const { auth } = world.instances[0];
    expect((await auth.refresh(fromBrowser(before))).accessToken).not.toBe("");
  });

  it("knows who returns: same account, no second bonus, another session", async () => {
    const email = newEmail();
    await signIn(email);
    await signIn(email);
    expect(await userOf(email)).toMatchObject({ credits: 100, ledgerSeq: 1 });
    expect(await sessionsOf(email)).toBe(2);
  });

  it("lets two tabs of one browser sign in side by side", async () => {
    const browser = new Browser();
    const [one, two] = [newEmail(), newEmail()];
    const first = await toCallback(world, browser, { email: one }, "?returnTo=/one");
    const second = await toCallback(world, browser, { email: two }, "?returnTo=/two");
    expect(landingOf(await browser.get(second))).toEqual({ error: null, returnTo: "/two" });
    expect(landingOf(await browser.get(first))).toEqual({ error: null, returnTo: "/one" });
  });

  it("makes one account of many first sign-ins at once, and grants once", async () => {
    const email = newEmail();
    const urls = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const browser = new Browser();
        return { browser, url: await toCallback(world, browser, { email }) };
      }),
    );
    const landings = await Promise.all(
      urls.map(async ({ browser, url }) => landingOf(await browser.get(url))),
    );
    expect(landings.map(({ error }) => error)).toEqual(Array(8).fill(null));
    expect(await userOf(email)).toMatchObject({ credits: 100, ledgerSeq: 1 });
    expect(await sessionsOf(email)).toBe(8);
  });

  it("follows a changed address, and keeps the old one where the new one is another account's", async () => {
    const [old, next] = [newEmail(), newEmail()];
    await signIn(old);
    const before = await userOf(old);
    world.sandbox.google.control.renameUser(old, next);
    await signIn(next);
    expect(await userOf(next)).toMatchObject({ id: before?.id, credits: 100 });
    expect(await userOf(old)).toBeNull();

    const [mine, taken] = [newEmail(), newEmail()];
    await signIn(mine);
    await world.session({ email: taken });
    const holder = await userOf(taken);
    const me = world.sandbox.google.control.users().find((user) => user.email === mine);
    world.sandbox.google.control.setUser(userFor(taken, { sub: me?.sub }));
    expect((await signIn(taken)).error).toBeNull();
    expect(await userOf(mine)).not.toBeNull();
    expect((await userOf(taken))?.id).toBe(holder?.id);
    expect(await sessionsOf(taken)).toBe(1);
  });

  it("links another identity by e-mail only where both sides have verified it", async () => {
    const linked = newEmail();
    const { userId } = await world.session({ email: linked, issuer: "https://former.example" });
    expect((await signIn(linked)).error).toBeNull();
    expect(await userOf(linked)).toMatchObject({ id: userId, credits: 100, ledgerSeq: 1 });

    const unverified = newEmail();
    await models().user.create({ data: { id: randomUUID(), email: unverified } });
    expect((await signIn(unverified)).error).toBe("account_conflict");
    expect(await sessionsOf(unverified)).toBe(0);

    const claimed = newEmail();
    await world.session({ email: claimed, issuer: "https://former.example" });
    world.sandbox.google.control.setUser(userFor(claimed, { email_verified: false }));
    const browser = new Browser();
    const url = await toCallback(world, browser, { email: claimed });
    await refused("email_not_verified", browser, url);
    expect(await sessionsOf(claimed)).toBe(1);
  });

  it("makes a second sub of one issuer another person, and moves the address to them", async () => {
    const email = newEmail();
    const former = await world.session({ email });
    expect((await signIn(email)).error).toBeNull();
    const newcomer = await userOf(email);
    expect(newcomer?.id).not.toBe(former.userId);
    expect(newcomer).toMatchObject({ credits: 100, role: "USER" });
    const old = await models().user.findUniqueOrThrow({ where: { id: former.userId } });
    expect(old).toMatchObject({
      email: `released-${former.userId}@released.invalid`,
      emailVerifiedAt: null,
      credits: 100,
    });
    const identities = await models().identity.findMany({
      where: { userId: { in: [former.userId, newcomer?.id ?? ""] } },
    });
    expect(new Set(identities.map((identity) => identity.userId)).size).toBe(2);
    // The former owner is still signed in, with the same identity.
    expect((await world.auth.refresh(fromNative(former.refreshToken))).accessToken).not.toBe("");
    // The newcomer's IP address appears only in their own audit line, so erasing them erases it.
    const audited = async (targetId: string) =>
      (await models().auditLog.findMany({ where: { targetId } })).map(({ action, ipAddress }) => [
        action,
        ipAddress === null,
      ]);
    expect(await audited(former.userId)).toEqual([["user.addressReleased", true]]);
    expect(await audited(newcomer?.id ?? "")).toEqual([["user.addressTaken", false]]);
  });

  it("lets only one of three new subs link an imported account at once; the others are other people", async () => {
    const email = newEmail();
    const account = await world.session({ email, issuer: "https://former.example" });
    const subjects = Array.from({ length: 3 }, () => randomUUID());
    const people = await Promise.all(subjects.map((subject) => world.session({ email, subject })));
    const linked = await models().identity.count({
      where: { userId: account.userId, issuer: world.sandbox.google.issuer },
    });
    expect(linked).toBe(1);
    expect(new Set(people.map((person) => person.userId)).size).toBe(subjects.length);
  });

  it("never makes an administrator by an address that is or was another sub's", async () => {
    const email = newEmail();
    await world.session({ email });
    adminEmails.push(email);
    await signIn(email);
    expect(await userOf(email)).toMatchObject({ role: "USER" });
    await signIn(email);
    expect(await userOf(email)).toMatchObject({ role: "USER" });

    // A known user whose address at the provider changes to one that another sub has here.
    const [mine, taken] = [newEmail(), newEmail()];
    await signIn(mine);
    await world.session({ email: taken });
    adminEmails.push(taken);
    const me = world.sandbox.google.control.users().find((user) => user.email === mine);
    world.sandbox.google.control.setUser(userFor(taken, { sub: me?.sub }));
    expect((await signIn(taken)).error).toBeNull();
    expect(await userOf(mine)).toMatchObject({ role: "USER" });

    // An account linked to two subs of the issuer, from the time when addresses linked them.
    const shared = newEmail();
    const owner = await world.session({ email: shared, issuer: "https://former.example" });
    await signIn(shared);
    await models().identity.create({
      data: {
        id: randomUUID(),
        userId: owner.userId,
        issuer: world.sandbox.google.issuer,
        subject: "x",
      },
    });
    adminEmails.push(shared);
    await signIn(shared);
    expect(await userOf(shared)).toMatchObject({ role: "USER" });
  });

  it.each([
    ["U+212A", "\u212a"],
    ["U+017F", "\u017f"],
  ])("takes an address with %s for another one than its ASCII look-alike", async (_name, sign) => {
    const local = `k${randomUUID()}s`;
    const admin = `${local}@example.com`;
    adminEmails.push(admin);
    const alike = `${local.replace(sign === "\u212a" ? "k" : "s", sign)}@example.com`;
    expect((await signIn(alike)).error).toBeNull();
    expect(await userOf(alike)).toMatchObject({ email: alike, role: "USER" });
    expect(await userOf(admin)).toBeNull();
  });

  it("makes ADMIN_EMAILS administrators, with an audit line", async () => {
    const email = newEmail();
    await signIn(email);
    adminEmails.push(email.toUpperCase());
    await signIn(email);
    const user = await userOf(email);
    expect(user).toMatchObject({ role: "ADMIN", authVersion: 1 });
    await signIn(email);
    expect(await models().auditLog.count({ where: { targetId: user?.id ?? "" } })).toBe(1);
  });

  it("refuses a disabled account", async () => {
    const email = newEmail();
    await signIn(email);
    await models().user.update({ where: { email }, data: { disabledAt: new Date() } });
    expect((await signIn(email)).error).toBe("account_disabled");
    expect(await sessionsOf(email)).toBe(1);
  });

  it("leaves no token, code, nonce or address in the log", async () => {
    const browser = new Browser();
    const email = newEmail();
    const url = new URL(await toCallback(world, browser, { email }));
    const attempt = [...browser.cookies.values()];
    await browser.get(url.href);
    const logged = JSON.stringify(world.logged());
    for (const secret of [
      browser.refreshToken ?? "?",
      url.searchParams.get("code") ?? "?",
      url.searchParams.get("state") ?? "?",
      world.sandbox.google.clientSecret,
      email,
      ...attempt,
    ]) {
      expect(logged).not.toContain(secret);
    }
  });
});
