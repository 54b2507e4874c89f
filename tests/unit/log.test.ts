// No log line holds a secret: by the field's name at any depth, by its value, or by its looks.
import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { createLogger } from "../../server/lib/logger.ts";
import { createScrub } from "../../server/lib/scrub.ts";

const CONFIGURED = 'configured "secret" with/odd&characters=1';

/** What is written when `value` is logged with `message`. */
function lineOf(value: object, message = "message"): string {
  const sink = new PassThrough();
  createLogger({ level: "trace", destination: sink, secrets: [CONFIGURED] }).info(value, message);
  return String(sink.read());
}

describe("a log line", () => {
  it.each([
    "authorization",
    "cookie",
    "set-cookie",
    "stripe-signature",
    "password",
    "secret",
    "clientSecret",
    "client_secret",
    "token",
    "accessToken",
    "refresh_token",
    "idToken",
    "apiKey",
    "x-api-key",
    "codeVerifier",
  ])("says [redacted] for a field named %s, however deep it lies and whatever it is", (name) => {
    for (const hidden of ["hush-hush", ["hush-hush", "hush-hush"], { inner: "hush-hush" }]) {
      for (const value of [{ [name]: hidden }, { a: { b: { c: [{ [name]: hidden }] } } }]) {
        const line = lineOf(value);
        expect(line).not.toContain("hush-hush");
        expect(line).toContain("[redacted]");
        expect(() => JSON.parse(line) as unknown).not.toThrow();
      }
    }
  });

  it.each([
    ["a Stripe key", "Invalid API Key provided: sk_live_51Habcdefghijklmnop"],
    ["a restricted key", "no such rk_test_51Habcdefghijklmnop here"],
    ["a webhook secret", "signed with whsec_abcdefghijklmnop"],
    ["a JWT", "bad token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"],
    ["a bearer", "header was Bearer abcdefghijklmnop"],
    ["Google's client secret", "client GOCSPX-abcdefghijklmnop is wrong"],
    ["an address with its password", "connect redis://user:abcdefghijklmnop@host:6379"],
    ["a card number", "declined 4242 4242 4242 4242"],
    ["a configured secret", `they said ${CONFIGURED}`],
  ])("holds nothing of %s in a message, an error or its cause", (_name, text) => {
    const tail = text.slice(-24, -6);
    const error = new Error(text, { cause: new Error(text) });
    for (const line of [lineOf({}, text), lineOf({ err: error }), lineOf({ a: { b: text } })]) {
      if (!text.includes("@host")) expect(line).not.toContain(tail);
      expect(line).not.toContain("abcdefghijklmnop");
      expect(line).toContain("[redacted]");
      expect(() => JSON.parse(line) as unknown).not.toThrow();
    }
  });

  it("leaves what is no secret as it is", () => {
    const plain = {
      requestId: "0199a1b2-0000-7000-8000-000000000000",
      code: "ECONNREFUSED",
      tokens: 12,
      path: "credit.spend",
      at: "2026-01-31T12:00:00.000Z",
      durationMs: 1_234_567_890_123_456,
    };
    expect(JSON.parse(lineOf({ plain }))).toMatchObject({ plain });
  });
});

describe("createScrub", () => {
  it("leaves words alone that are too short to be secrets", () => {
    expect(createScrub(["short", ""])("a short line")).toBe("a short line");
  });
});

it("gathers lines in production, as the writer's own bounds allow", () => {
  expect(() => createLogger({ level: "silent", batched: true })).not.toThrow();
});
