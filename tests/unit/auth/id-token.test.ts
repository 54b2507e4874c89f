// The checks of an ID token that an honest provider never triggers: other algorithms, parties and values.
import {
  CompactSign,
  createLocalJWKSet,
  exportJWK,
  generateKeyPair,
  type JWTPayload,
  SignJWT,
} from "jose";
import { describe, expect, it } from "vitest";
import { verifyIdToken } from "../../../server/adapters/google/id-token.ts";
import { SignInFailure } from "../../../server/auth/sign-in/sign-in-error.ts";

const NOW_MS = Date.UTC(2026, 0, 1);
const NOW = NOW_MS / 1000;
const CLIENT = "client.apps.example";
const GOOGLE = "https://accounts.google.com";
const rsa = await generateKeyPair("RS256", { extractable: true });
const ec = await generateKeyPair("ES256", { extractable: true });
// Without `alg`, so that the key set alone would accept these keys for any algorithm the token names.
const keys = createLocalJWKSet({
  keys: [
    { ...(await exportJWK(rsa.publicKey)), kid: "rsa" },
    { ...(await exportJWK(ec.publicKey)), kid: "ec" },
  ],
});

const CLAIMS: JWTPayload = {
  iss: GOOGLE,
  aud: CLIENT,
  sub: "1234567890",
  iat: NOW,
  exp: NOW + 3600,
  nonce: "the-nonce",
  email: "Ada@Example.com",
  email_verified: true,
  name: "Ada\u0007 Lovelace",
  picture: "https://img.example/a.png",
};

const sign = (
  claims: JWTPayload,
  header: { alg: string; kid?: string } = { alg: "RS256", kid: "rsa" },
) =>
  new SignJWT(claims)
    .setProtectedHeader(header)
    .sign(header.alg === "ES256" ? ec.privateKey : rsa.privateKey);

const verify = (token: string, issuer = GOOGLE) =>
  verifyIdToken(token, { issuer, clientId: CLIENT, nonce: "the-nonce", keys, nowMs: NOW_MS });

async function codeOf(token: string, issuer?: string): Promise<string> {
  try {
    await verify(token, issuer);
    return "ACCEPTED";
  } catch (error) {
    if (error instanceof SignInFailure) return error.code;
    throw error;
  }
}

describe("ID tokens", () => {
  it("say who signed in: address in lower case, a clean name, an https picture", async () => {
    expect(await verify(await sign(CLAIMS))).toEqual({
      issuer: GOOGLE,
      subject: "1234567890",
      email: "ada@example.com",
      name: "Ada Lovelace",
      avatar: "https://img.example/a.png",
    });
  });

  it("may spell Google's issuer both ways, and nobody else's", async () => {
    const bare = { ...CLAIMS, iss: "accounts.google.com" };
    expect(await codeOf(await sign(bare))).toBe("ACCEPTED");
    const other = { ...CLAIMS, iss: "issuer.example" };
    expect(await codeOf(await sign(other), "https://issuer.example")).toBe("identity_invalid");
  });

  it.each(["RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"])(
    "signed by %s with a published key that fits are refused",
    async (alg) => {
      const pair = await generateKeyPair(alg, { extractable: true });
      const jwk = { ...(await exportJWK(pair.publicKey)), kid: "fits" };
      const token = await new SignJWT(CLAIMS)
        .setProtectedHeader({ alg, kid: "fits" })
        .sign(pair.privateKey);
      const fitting = createLocalJWKSet({ keys: [jwk] });
      const expected = { issuer: GOOGLE, clientId: CLIENT, nonce: "the-nonce", nowMs: NOW_MS };
      await expect(verifyIdToken(token, { ...expected, keys: fitting })).rejects.toMatchObject({
        code: "identity_invalid",
      });
    },
  );

  it("signed by HS256 are refused, even where the key is at hand", async () => {
    const secret = new TextEncoder().encode("a-secret-of-this-test-alone-0123456789abcdef");
    const token = await new SignJWT(CLAIMS).setProtectedHeader({ alg: "HS256" }).sign(secret);
    const expected = { issuer: GOOGLE, clientId: CLIENT, nonce: "the-nonce", nowMs: NOW_MS };
    await expect(verifyIdToken(token, { ...expected, keys: () => secret })).rejects.toMatchObject({
      code: "identity_invalid",
    });
  });

  it.each<[string, (token: string) => string]>([
    ["with padding", (token) => `${token}==`],
    ["with a padded payload", (token) => token.replace(/\.([^.]+)\./, ".$1=.")],
    ["with a line break", (token) => token.replace(".", ".\n")],
  ])("%s are refused", async (_name, rewrite) => {
    expect(await codeOf(rewrite(await sign(CLAIMS)))).toBe("identity_invalid");
  });

  it("that begin with a byte order mark are refused, though properly signed", async () => {
    const bytes = new TextEncoder().encode(`\ufeff${JSON.stringify(CLAIMS)}`);
    const token = await new CompactSign(bytes)
      .setProtectedHeader({ alg: "RS256", kid: "rsa" })
      .sign(rsa.privateKey);
    expect(await codeOf(token)).toBe("identity_invalid");
  });

  it("fold an address in ASCII only, and take no space away from it", async () => {
    const emailOf = async (email: string) => (await verify(await sign({ ...CLAIMS, email }))).email;
    expect(await emailOf("Boris.\u212a@Example.com")).toBe("boris.\u212a@example.com");
    expect(await emailOf("JE\u017fS@Example.com")).toBe("je\u017fs@example.com");
    expect(await emailOf("\u0130@Example.com")).toBe("\u0130@example.com");
    for (const space of ["\u00a0", "\ufeff", " ", "\u200b"])
      expect(await codeOf(await sign({ ...CLAIMS, email: `${space}ada@example.com` }))).toBe(
        "identity_invalid",
      );
  });

  it("signed in any way but RS256 are refused, even with a published key", async () => {
    expect(await codeOf(await sign(CLAIMS, { alg: "ES256", kid: "ec" }))).toBe("identity_invalid");
    const pss = await generateKeyPair("PS256", { extractable: true });
    const pssKeys = createLocalJWKSet({
      keys: [{ ...(await exportJWK(pss.publicKey)), alg: undefined, kid: "rsa" }],
    });
    const token = await new SignJWT(CLAIMS)
      .setProtectedHeader({ alg: "PS256", kid: "rsa" })
      .sign(pss.privateKey);
    await expect(
      verifyIdToken(token, {
        issuer: GOOGLE,
        clientId: CLIENT,
        nonce: "the-nonce",
        keys: pssKeys,
        nowMs: NOW_MS,
      }),
    ).rejects.toMatchObject({ code: "identity_invalid" });
  });

  it.each<[string, JWTPayload]>([
    ["for another client, without azp", { aud: "another" }],
    ["for no client", { aud: [] }],
    ["for several clients, without azp", { aud: [CLIENT, "another"] }],
    ["issued to another client", { azp: "another" }],
    ["with azp of another type", { azp: [CLIENT] }],
    ["with a nonce of another type", { nonce: ["the-nonce"] }],
    ["older than 10 minutes", { iat: NOW - 700 }],
    ["from the future", { iat: NOW + 120 }],
    ["with a fraction in exp", { exp: NOW + 3600.5 }],
    ["with a fraction in iat", { iat: NOW - 0.5 }],
    ["over", { iat: NOW - 500, exp: NOW - 61 }],
    ["without end", { exp: undefined }],
    ["without beginning", { iat: undefined }],
    ["of an empty subject", { sub: "" }],
    ["of an endless subject", { sub: "1".repeat(256) }],
    ["of a subject beyond ASCII", { sub: "\u202e1" }],
    ["of no address", { email: undefined }],
    ["of an address with a line break", { email: "ada@example.com\r\nbcc: x@evil.example" }],
    ["of an address list", { email: "ada@example.com x@evil.example" }],
    ["of an endless address", { email: `${"a".repeat(250)}@example.com` }],
  ])("%s are refused", async (_name, change) => {
    expect(await codeOf(await sign({ ...CLAIMS, ...change }))).toBe("identity_invalid");
  });

  it.each([[false], [undefined], ["true"], [1], [[true]]])(
    "with email_verified %j vouch for no address",
    async (email_verified) => {
      expect(await codeOf(await sign({ ...CLAIMS, email_verified }))).toBe("email_not_verified");
    },
  );

  it("for several clients are fine when issued to us", async () => {
    const token = await sign({ ...CLAIMS, aud: [CLIENT, "another"], azp: CLIENT });
    expect(await codeOf(token)).toBe("ACCEPTED");
  });

  it("leave out names and pictures that are none", async () => {
    const odd = { ...CLAIMS, name: { toString: "x" }, picture: "javascript:alert(1)" };
    expect(await verify(await sign(odd))).toMatchObject({ name: null, avatar: null });
  });
});
