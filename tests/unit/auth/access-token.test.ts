// Promise 5 for access tokens: only what this server signed as an access token is accepted (RFC 8725).
import { createHmac, generateKeyPairSync } from "node:crypto";
import { EncryptJWT, SignJWT } from "jose";
import { describe, expect, it } from "vitest";
import { createAccessTokens } from "../../../server/auth/session/access-token.ts";
import { keyId } from "../../../server/lib/keys.ts";
import { isAppError } from "../../../server/lib/errors.ts";

const SECRET = "a-secret-of-this-test-alone-0123456789abcdef";
const OLD_SECRET = "the-secret-before-it-0123456789abcdef0123";
const CLAIMS = { userId: "user-1", sessionId: "session-1", authVersion: 3 };
const NOW_MS = Date.UTC(2026, 0, 1);
const FAR_MS = NOW_MS + 86_400_000;

const make = (options: { secrets?: string[]; nowMs?: () => number } = {}) =>
  createAccessTokens({
    secrets: options.secrets ?? [SECRET],
    ttlSeconds: 900,
    now: options.nowMs ?? (() => NOW_MS),
  });

async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (isAppError(error)) return error.code;
    throw error;
  }
  return "ACCEPTED";
}

/** Creates a token like ours except for `change`. */
function forge(
  change: {
    header?: Record<string, unknown>;
    claims?: Record<string, unknown>;
    secret?: string;
  } = {},
) {
  const issued = NOW_MS / 1000;
  return new SignJWT({
    iss: "skywork",
    aud: "skywork-api",
    sub: "user-1",
    sid: "session-1",
    ver: 3,
    iat: issued,
    exp: issued + 900,
    ...change.claims,
  })
    .setProtectedHeader({ alg: "HS256", typ: "at+jwt", kid: keyId(SECRET), ...change.header })
    .sign(new TextEncoder().encode(change.secret ?? SECRET));
}

/** Re-signs one of our tokens with a rewritten payload. */
async function forgeBytes(rewrite: (json: string) => string): Promise<string> {
  const [header = "", payload = ""] = (await forge()).split(".");
  const json = rewrite(Buffer.from(payload, "base64url").toString());
  const input = `${header}.${Buffer.from(json).toString("base64url")}`;
  return `${input}.${createHmac("sha256", SECRET).update(input).digest("base64url")}`;
}

describe("access tokens", () => {
  it("come back as they were signed, at first and from memory", async () => {
    const tokens = make();
    const { token, expiresAt } = await tokens.sign(CLAIMS, FAR_MS);
    expect(expiresAt.getTime()).toBe(NOW_MS + 900_000);
    const expected = { ...CLAIMS, expiresAtMs: NOW_MS + 900_000 };
    expect(await tokens.verify(token)).toEqual(expected);
    expect(tokens.verify(token)).toEqual(expected);
    expect(await tokens.verify(await forge())).toEqual(expected);
  });

  it("end with their sign-in", async () => {
    const { expiresAt } = await make().sign(CLAIMS, NOW_MS + 60_000);
    expect(expiresAt.getTime()).toBe(NOW_MS + 60_000);
  });

  it("expire, also when they were remembered", async () => {
    let nowMs = NOW_MS;
    const tokens = make({ nowMs: () => nowMs });
    const { token } = await tokens.sign(CLAIMS, FAR_MS);
    const unseen = (await tokens.sign({ ...CLAIMS, sessionId: "session-2" }, FAR_MS)).token;
    await tokens.verify(token);
    nowMs += 900_000;
    expect(await codeOf(() => tokens.verify(token))).toBe("TOKEN_EXPIRED");
    expect(await codeOf(() => tokens.verify(token))).toBe("TOKEN_EXPIRED");
    expect(await codeOf(() => tokens.verify(unseen))).toBe("TOKEN_EXPIRED");
  });

  it("signed with the former secret pass while it is listed, and not after", async () => {
    const { token } = await make({ secrets: [OLD_SECRET] }).sign(CLAIMS, FAR_MS);
    const rotated = make({ secrets: [SECRET, OLD_SECRET] });
    expect(await codeOf(() => rotated.verify(token))).toBe("ACCEPTED");
    expect(await codeOf(() => make().verify(token))).toBe("UNAUTHENTICATED");
    const fresh = (await rotated.sign(CLAIMS, FAR_MS)).token;
    expect(await codeOf(() => make().verify(fresh))).toBe("ACCEPTED");
  });

  it("changed by one character anywhere are refused", async () => {
    const { token } = await make().sign(CLAIMS, FAR_MS);
    for (let index = 0; index < token.length; index += 7) {
      // The spare bits of a part's last character do not affect the result, so a decoder may accept them.
      if (token[index + 1] === "." || index === token.length - 1) continue;
      const other = token[index] === "A" ? "B" : "A";
      const changed = token.slice(0, index) + other + token.slice(index + 1);
      expect(await codeOf(() => make().verify(changed)), `at ${index}`).toBe("UNAUTHENTICATED");
    }
  });

  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const body = {
    iss: "skywork",
    aud: "skywork-api",
    sub: "u",
    sid: "s",
    ver: 0,
    iat: NOW_MS / 1000,
    exp: NOW_MS / 1000 + 900,
  };
  const forgeries: Record<string, () => string | Promise<string>> = {
    "alg none": () => `${part({ alg: "none", typ: "at+jwt", kid: keyId(SECRET) })}.${part(body)}.`,
    "alg none with a signature": () =>
      `${part({ alg: "none", typ: "at+jwt", kid: keyId(SECRET) })}.${part(body)}.AAAA`,
    "another secret": () => forge({ secret: OLD_SECRET }),
    HS512: () => forge({ header: { alg: "HS512" } }),
    RS256: () =>
      new SignJWT(body)
        .setProtectedHeader({ alg: "RS256", typ: "at+jwt", kid: keyId(SECRET) })
        .sign(privateKey),
    "HS256 with a public key": () => {
      const input = `${part({ alg: "HS256", typ: "at+jwt", kid: keyId(SECRET) })}.${part(body)}`;
      const pem = publicKey.export({ type: "spki", format: "pem" });
      return `${input}.${createHmac("sha256", pem).update(input).digest("base64url")}`;
    },
    "typ JWT": () => forge({ header: { typ: "JWT" } }),
    "no typ": () => forge({ header: { typ: undefined } }),
    "an unknown kid": () => forge({ header: { kid: "nobody" } }),
    "a prototype kid": () => forge({ header: { kid: "__proto__" } }),
    "no kid": () => forge({ header: { kid: undefined } }),
    "an embedded key": () =>
      forge({
        secret: OLD_SECRET,
        header: { jwk: { kty: "oct", k: Buffer.from(OLD_SECRET).toString("base64url") } },
      }),
    "another issuer": () => forge({ claims: { iss: "https://accounts.google.com" } }),
    "another audience": () => forge({ claims: { aud: "another-api" } }),
    "no subject": () => forge({ claims: { sub: undefined } }),
    "no session": () => forge({ claims: { sid: undefined } }),
    "no version": () => forge({ claims: { ver: undefined } }),
    "a version that is text": () => forge({ claims: { ver: "3" } }),
    "no exp": () => forge({ claims: { exp: undefined } }),
    "with padding": async () => `${await forge()}=`,
    "with a padded payload": async () => (await forge()).replace(/\.([^.]+)\./, ".$1=."),
    "with a space in a segment": async () => (await forge()).replace(".", " ."),
    "with a byte order mark": () => forgeBytes((json) => `\ufeff${json}`),
    "with a fraction in exp": () => forge({ claims: { exp: NOW_MS / 1000 + 900.5 } }),
    "with a fraction in iat": () => forge({ claims: { iat: NOW_MS / 1000 - 0.5 } }),
    "with exp as text": () => forgeBytes((json) => json.replace(/"exp":(\d+)/, '"exp":"$1"')),
    "no iat": () => forge({ claims: { iat: undefined } }),
    "issued in the future": () => forge({ claims: { iat: NOW_MS / 1000 + 3600 } }),
    "not valid yet": () => forge({ claims: { nbf: NOW_MS / 1000 + 3600 } }),
    "a refresh token": () => `skr_${"A".repeat(91)}`,
    "a JWE": () =>
      new EncryptJWT(body)
        .setProtectedHeader({ alg: "dir", enc: "A256GCM", typ: "at+jwt", kid: keyId(SECRET) })
        .encrypt(Buffer.alloc(32, SECRET)),
    nothing: () => "",
    dots: () => "..",
    words: () => "not a token",
  };
  for (const [name, make_] of Object.entries(forgeries)) {
    it(`refuse ${name}`, async () => {
      const token = await make_();
      expect(await codeOf(() => make().verify(token))).toBe("UNAUTHENTICATED");
    });
  }

  it("that are oversized are refused before they are parsed", async () => {
    const token = await forge({ claims: { padding: "x".repeat(4096) } });
    expect(await codeOf(() => make().verify(token))).toBe("UNAUTHENTICATED");
  });

  it("that expired before but are forged are not called expired", async () => {
    const token = await forge({ secret: OLD_SECRET, claims: { exp: NOW_MS / 1000 - 10 } });
    expect(await codeOf(() => make().verify(token))).toBe("UNAUTHENTICATED");
  });
});
