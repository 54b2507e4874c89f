// The cookie attributes that PROMISES.md requires, and reading duplicate cookies in the order received.
import { describe, expect, it } from "vitest";
import {
  stateCookie,
  readCookies,
  readRefreshCookies,
  refreshCookie,
} from "../../../server/http/cookies.ts";

const https = { sameSite: "none", secure: true } as const;
const local = { sameSite: "lax", secure: false } as const;

describe("cookies", () => {
  it("keep the refresh token with the attributes of PROMISES.md", () => {
    expect(refreshCookie("skr_x", 604_800.9, https)).toBe(
      "__Host-refresh=skr_x; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=None",
    );
    expect(refreshCookie("skr_x", 60, local)).toBe(
      "refresh=skr_x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax",
    );
    expect(refreshCookie("skr_x", 60, { sameSite: "strict", secure: true })).toContain(
      "SameSite=Strict",
    );
  });

  it("are cleared with the same attributes", () => {
    expect(refreshCookie(null, 99, https)).toBe(
      "__Host-refresh=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=None",
    );
  });

  it("of a sign-in are Lax whatever the refresh cookie is, or the way back from Google would lose them", () => {
    expect(stateCookie("__Host-signin_a", "v", 600, { sameSite: "strict", secure: true })).toBe(
      "__Host-signin_a=v; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax",
    );
  });

  it("are read with their duplicates, and only under the exact name", () => {
    const header = 'a=1; refresh=one; Refresh=no; xrefresh=no; refresh="two"; refresh=; =x; bare';
    expect(readRefreshCookies(header, local)).toEqual(["one", "two", ""]);
    expect(readRefreshCookies("refresh=one", https)).toEqual([]);
    expect(readRefreshCookies("__Host-refresh=one; refresh=two", https)).toEqual(["one"]);
    expect(readRefreshCookies(undefined, https)).toEqual([]);
  });

  it.each([
    "\u00a0",
    "\ufeff",
    "\u00ef\u00bb\u00bf",
    "\v",
    "\f",
    "\u2003",
    "\u0085",
    "\0",
    "\r",
    '"',
    "/",
  ])("with %j around the name are no cookies of ours", (byte) => {
    for (const name of [
      `${byte}__Host-refresh`,
      `__Host-refresh${byte}`,
      `${byte} __Host-refresh`,
    ]) {
      expect(readRefreshCookies(`${name}=planted; a=1`, https)).toEqual([]);
      expect(readCookies(`${name}=planted; a=1`)).toEqual([{ name: "a", value: "1" }]);
    }
  });

  it("are found with spaces and tabs around name and value, which are no part of either", () => {
    expect(readRefreshCookies("a=1;\t __Host-refresh \t= one\t; b=2", https)).toEqual(["one"]);
    expect(readCookies("a=\u00a0x")).toEqual([{ name: "a", value: "\u00a0x" }]);
  });

  it("stop being read after a hundred", () => {
    const bomb = Array.from({ length: 5_000 }, (_, index) => `c${index}=1`).join("; ");
    expect(readCookies(bomb)).toHaveLength(100);
  });
});
