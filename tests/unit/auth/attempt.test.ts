// Owns the proof that a sign-in attempt can be ended only by the browser that began it, within 10 minutes.
import { describe, expect, it } from "vitest";
import {
  createAttempts,
  isAttemptCookie,
  MAX_ATTEMPTS,
} from "../../../server/auth/sign-in/sign-in-state.ts";

const SECRET = "a-secret-of-this-test-alone-0123456789abcdef";
const START_MS = Date.UTC(2026, 0, 1);

function world(options: { secrets?: string[]; secure?: boolean } = {}) {
  const clock = { nowMs: START_MS };
  const attempts = createAttempts({
    secrets: options.secrets ?? [SECRET],
    secure: options.secure ?? true,
    now: () => clock.nowMs,
  });
  return { attempts, clock };
}

describe("sign-in attempts", () => {
  it("lead to one session each: the same id at every call, on every instance, for no other attempt", () => {
    const { attempts } = world();
    const { attempt } = attempts.begin(null);
    const id = attempts.sessionId(attempt);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(attempts.sessionId(attempt)).toBe(id);
    expect(
      world({ secrets: ["another-secret-0123456789abcdef", SECRET] }).attempts.sessionId(attempt),
    ).toBe(id);
    expect(attempts.sessionId(attempts.begin(null).attempt)).not.toBe(id);
  });

  it("open again in the browser that holds their cookie, two tabs side by side", () => {
    const { attempts } = world();
    const [one, two] = [attempts.begin("/one"), attempts.begin(null)];
    const cookies = [one.cookie, two.cookie];
    expect(attempts.find(one.attempt.state, cookies)).toEqual(one.attempt);
    expect(attempts.find(two.attempt.state, cookies)).toEqual(two.attempt);
    expect(attempts.find(one.attempt.state, [two.cookie])).toBeNull();
    expect(attempts.find(one.attempt.state, [])).toBeNull();
  });

  it("have a cookie name that says __Host- on https and is told from others", () => {
    expect(world().attempts.begin(null).cookie.name).toMatch(/^__Host-signin_[\w-]{16}$/);
    expect(world({ secure: false }).attempts.begin(null).cookie.name).toMatch(/^signin_[\w-]{16}$/);
    expect(isAttemptCookie("refresh")).toBe(false);
  });

  it("cannot be read, changed or moved to another name", () => {
    const { attempts } = world();
    const { attempt, cookie } = attempts.begin("/here");
    for (const secret of [attempt.nonce, attempt.codeVerifier, attempt.state, "/here"]) {
      expect(cookie.value).not.toContain(secret);
      expect(Buffer.from(cookie.value, "base64url").toString("latin1")).not.toContain(secret);
    }
    const bytes = Buffer.from(cookie.value, "base64url");
    for (let index = 0; index < bytes.length; index++) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(index) ^ 1, index);
      const value = changed.toString("base64url");
      expect(attempts.find(attempt.state, [{ ...cookie, value }]), `byte ${index}`).toBeNull();
    }
    const other = attempts.begin(null);
    expect(
      attempts.find(other.attempt.state, [{ name: other.cookie.name, value: cookie.value }]),
    ).toBeNull();
    expect(world({ secrets: [SECRET + SECRET] }).attempts.find(attempt.state, [cookie])).toBeNull();
  });

  it("take a state that only begins alike for another one", () => {
    const { attempts } = world();
    const { attempt, cookie } = attempts.begin(null);
    const alike = attempt.state.slice(0, 42) + (attempt.state.endsWith("A") ? "Q" : "A");
    expect(attempts.find(alike, [cookie])).toBeNull();
    expect(attempts.find(`${attempt.state}x`, [cookie])).toBeNull();
    expect(attempts.find("", [cookie])).toBeNull();
  });

  it("survive a rotation of the secret", () => {
    const { attempt, cookie } = world({
      secrets: ["former-secret-0123456789abcdefghijk"],
    }).attempts.begin(null);
    const rotated = world({ secrets: [SECRET, "former-secret-0123456789abcdefghijk"] }).attempts;
    expect(rotated.find(attempt.state, [cookie])).toEqual(attempt);
  });

  it("expire after 10 minutes", () => {
    const { attempts, clock } = world();
    const { attempt } = attempts.begin(null);
    clock.nowMs += 599_999;
    expect(attempts.expired(attempt)).toBe(false);
    clock.nowMs += 1;
    expect(attempts.expired(attempt)).toBe(true);
  });

  it("are cleared when there are too many, are stale or are not ours", () => {
    const { attempts, clock } = world();
    const stale = attempts.begin(null).cookie;
    clock.nowMs += 600_000;
    const live = Array.from({ length: MAX_ATTEMPTS + 2 }, () => {
      clock.nowMs += 1_000;
      return attempts.begin(null).cookie;
    });
    const foreign = { name: "__Host-signin_AAAAAAAAAAAAAAAA", value: "rubbish" };
    const unrelated = { name: "theme", value: "dark" };
    const surplus = attempts.surplus([stale, foreign, unrelated, ...live]);
    expect(new Set(surplus)).toEqual(
      new Set([stale.name, foreign.name, ...live.slice(0, 3).map((cookie) => cookie.name)]),
    );
  });

  it("lead to one session id each, a UUID v7, on every instance", () => {
    const { attempts } = world();
    const { attempt } = attempts.begin(null);
    const id = attempts.sessionId(attempt);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(
      world({ secrets: ["another-secret-0123456789abcdefghij"] }).attempts.sessionId(attempt),
    ).toBe(id);
    expect(attempts.sessionId(attempts.begin(null).attempt)).not.toBe(id);
  });
});
