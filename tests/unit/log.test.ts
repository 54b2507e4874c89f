// No log line contains a secret: it is recognised by the field's name at any depth, by its value, or by its format.
import { spawnSync } from "node:child_process";
import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { createLogger } from "../../server/lib/logger.ts";
import { createScrub } from "../../server/lib/scrub.ts";

const CONFIGURED = 'configured "secret" with/odd&characters=1';

/** Returns what is written when `value` is logged with `message`. */
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

describe("gathered lines", () => {
  /** Returns what a process has written that logs using `code` and then exits. */
  const printed = (code: string) => {
    const logger = JSON.stringify(new URL("../../server/lib/logger.ts", import.meta.url).href);
    const program = `import { createLogger, writeInfo } from ${logger};
      const logger = createLogger({ level: "info", batched: true }); ${code}`;
    const { stdout } = spawnSync(
      process.execPath,
      ["--import", "tsx", "--input-type=module", "-e", program],
      { encoding: "utf8", env: { ...process.env, UV_THREADPOOL_SIZE: "1" } },
    );
    return stdout
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { msg: string }).msg);
  };

  it.each([
    ["by itself", ""],
    ["by process.exit", "process.exit(3);"],
    ["by an error nobody caught", "throw new Error('uncaught');"],
  ])("are all written when the process ends %s", (_how, end) => {
    expect(
      printed(
        `logger.info("one"); writeInfo(logger, '"a":1', "two"); logger.info("three"); ${end}`,
      ),
    ).toEqual(["one", "two", "three"]);
  });

  // Node.js cancels work that is queued for a thread when the process exits on its own.
  it("are all written when the process ends while Node.js's thread pool is busy", () => {
    const busy = `const { pbkdf2 } = await import("node:crypto");
      process.prependListener("exit", () => pbkdf2("a", "b", 1_000_000, 32, "sha512", () => {}));`;
    expect(printed(`${busy} logger.info("one");`)).toEqual(["one"]);
  });

  it("keep their order, however many they are", () => {
    const numbers = printed("for (let i = 0; i < 2000; i += 1) logger.info(String(i));");
    expect(numbers).toEqual(Array.from({ length: 2000 }, (_, i) => String(i)));
  });

  it("are written within two seconds, and with the next error at once", () => {
    const kill = "process.kill(process.pid, 'SIGKILL')";
    expect(printed(`logger.info("one"); setTimeout(() => ${kill}, 2000);`)).toEqual(["one"]);
    expect(
      printed(`logger.info("one"); logger.error("two"); setTimeout(() => ${kill}, 300);`),
    ).toEqual(["one", "two"]);
  });
});
