// A sign-in can be completed only by the browser that began it, within 10 minutes.
import { describe, expect, it } from "vitest";
import {
  createSignInStates,
  isStateCookie,
  MAX_STATES,
} from "../../../server/auth/sign-in/sign-in-state.ts";

const SECRET = "a-secret-of-this-test-alone-0123456789abcdef";
const START_MS = Date.UTC(2026, 0, 1);

function world(options: { secrets?: string[]; secure?: boolean } = {}) {
  const clock = { nowMs: START_MS };
  const states = createSignInStates({
    secrets: options.secrets ?? [SECRET],
    secure: options.secure ?? true,
    now: () => clock.nowMs,
  });
  return { states, clock };
}

describe("sign-in states", () => {
  it("lead to one session each: the same id at every call, on every instance, for no other sign-in", () => {
    const { states } = world();
    const { state } = states.begin(null);
    const id = states.sessionId(state);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(states.sessionId(state)).toBe(id);
    expect(
      world({ secrets: ["another-secret-0123456789abcdef", SECRET] }).states.sessionId(state),
    ).toBe(id);
    expect(states.sessionId(states.begin(null).state)).not.toBe(id);
  });

  it("open again in the browser that holds their cookie, two tabs side by side", () => {
    const { states } = world();
    const [one, two] = [states.begin("/one"), states.begin(null)];
    const cookies = [one.cookie, two.cookie];
    expect(states.find(one.state.state, cookies)).toEqual(one.state);
    expect(states.find(two.state.state, cookies)).toEqual(two.state);
    expect(states.find(one.state.state, [two.cookie])).toBeNull();
    expect(states.find(one.state.state, [])).toBeNull();
  });

  it("have a cookie name that says __Host- on https and is told from others", () => {
    expect(world().states.begin(null).cookie.name).toMatch(/^__Host-signin_[\w-]{16}$/);
    expect(world({ secure: false }).states.begin(null).cookie.name).toMatch(/^signin_[\w-]{16}$/);
    expect(isStateCookie("refresh")).toBe(false);
  });

  it("cannot be read, changed or moved to another name", () => {
    const { states } = world();
    const { state, cookie } = states.begin("/here");
    for (const secret of [state.nonce, state.codeVerifier, state.state, "/here"]) {
      expect(cookie.value).not.toContain(secret);
      expect(Buffer.from(cookie.value, "base64url").toString("latin1")).not.toContain(secret);
    }
    const bytes = Buffer.from(cookie.value, "base64url");
    for (let index = 0; index < bytes.length; index++) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(index) ^ 1, index);
      const value = changed.toString("base64url");
      expect(states.find(state.state, [{ ...cookie, value }]), `byte ${index}`).toBeNull();
    }
    const other = states.begin(null);
    expect(
      states.find(other.state.state, [{ name: other.cookie.name, value: cookie.value }]),
    ).toBeNull();
    expect(world({ secrets: [SECRET + SECRET] }).states.find(state.state, [cookie])).toBeNull();
  });

  it("take a state that only begins alike for another one", () => {
    const { states } = world();
    const { state, cookie } = states.begin(null);
    const alike = state.state.slice(0, 42) + (state.state.endsWith("A") ? "Q" : "A");
    expect(states.find(alike, [cookie])).toBeNull();
    expect(states.find(`${state.state}x`, [cookie])).toBeNull();
    expect(states.find("", [cookie])).toBeNull();
  });

  it("survive a rotation of the secret", () => {
    const { state, cookie } = world({
      secrets: ["former-secret-0123456789abcdefghijk"],
    }).states.begin(null);
    const rotated = world({ secrets: [SECRET, "former-secret-0123456789abcdefghijk"] }).states;
    expect(rotated.find(state.state, [cookie])).toEqual(state);
  });

  it("expire after 10 minutes", () => {
    const { states, clock } = world();
    const { state } = states.begin(null);
    clock.nowMs += 599_999;
    expect(states.expired(state)).toBe(false);
    clock.nowMs += 1;
    expect(states.expired(state)).toBe(true);
  });

  it("are cleared when there are too many, are stale or are not ours", () => {
    const { states, clock } = world();
    const stale = states.begin(null).cookie;
    clock.nowMs += 600_000;
    const live = Array.from({ length: MAX_STATES + 2 }, () => {
      clock.nowMs += 1_000;
      return states.begin(null).cookie;
    });
    const foreign = { name: "__Host-signin_AAAAAAAAAAAAAAAA", value: "rubbish" };
    const unrelated = { name: "theme", value: "dark" };
    const surplus = states.surplus([stale, foreign, unrelated, ...live]);
    expect(new Set(surplus)).toEqual(
      new Set([stale.name, foreign.name, ...live.slice(0, 3).map((cookie) => cookie.name)]),
    );
  });

  it("lead to one session id each, a UUID v7, on every instance", () => {
    const { states } = world();
    const { state } = states.begin(null);
    const id = states.sessionId(state);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(
      world({ secrets: ["another-secret-0123456789abcdefghij"] }).states.sessionId(state),
    ).toBe(id);
    expect(states.sessionId(states.begin(null).state)).not.toBe(id);
  });
});
