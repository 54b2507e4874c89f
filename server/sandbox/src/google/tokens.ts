// The ID tokens of the Google stand-in: valid ones, and every kind of invalid one that a test can request.
import { createHmac, randomBytes } from "node:crypto";
import { exportSPKI, type JWTPayload, SignJWT } from "jose";
import { type KeyRing, makeKey } from "./keys.ts";

/** The ways in which an ID token can be wrong. Each order of a fault affects one token. */
export const TOKEN_FAULTS = [
  "wrong-aud",
  "aud-list-foreign",
  "wrong-azp",
  "wrong-iss",
  "iss-lookalike",
  "alg-none",
  "hs256-public-key",
  "unknown-kid",
  "no-kid",
  "jku-header",
  "jwk-header",
  "crit-header",
  "bad-signature",
  "expired",
  "no-exp",
  "iat-future",
  "iat-old",
  "nbf-future",
  "wrong-nonce",
  "no-nonce",
  "no-sub",
  "email-unverified",
  "email-verified-missing",
  "email-verified-string",
  "no-email",
  "not-a-jwt",
  "jwe-shaped",
  "oversized",
  "missing",
] as const;

export type TokenFault = (typeof TOKEN_FAULTS)[number];

function base64url(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function withoutClaim(claims: JWTPayload, name: string): JWTPayload {
  const { [name]: _gone, ...rest } = claims;
  return rest;
}

function faultyClaims(claims: JWTPayload, fault: TokenFault): JWTPayload {
  const now = claims.iat ?? 0;
  switch (fault) {
    case "wrong-aud":
      return {
        ...claims,
        aud: "someone-elses-client.apps.googleusercontent.com",
        azp: "someone-elses-client.apps.googleusercontent.com",
      };
    case "aud-list-foreign":
      return { ...claims, aud: [String(claims.aud), "another-client"], azp: "another-client" };
    case "wrong-azp":
      return { ...claims, azp: "someone-elses-client" };
    case "wrong-iss":
      return { ...claims, iss: "https://evil.example.com" };
    case "iss-lookalike":
      return { ...claims, iss: `${String(claims.iss)}.evil.example.com` };
    case "expired":
      return { ...claims, iat: now - 7_200, exp: now - 3_600 };
    case "no-exp":
      return withoutClaim(claims, "exp");
    case "iat-future":
      return { ...claims, iat: now + 3_600, exp: now + 7_200 };
    case "iat-old":
      return { ...claims, iat: now - 86_400 };
    case "nbf-future":
      return { ...claims, nbf: now + 3_600 };
    case "wrong-nonce":
      return { ...claims, nonce: "another-attempts-nonce" };
    case "no-nonce":
      return withoutClaim(claims, "nonce");
    case "no-sub":
      return withoutClaim(claims, "sub");
    case "email-unverified":
      return { ...claims, email_verified: false };
    case "email-verified-missing":
      return withoutClaim(claims, "email_verified");
    case "email-verified-string":
      return { ...claims, email_verified: "true" };
    case "no-email":
      return withoutClaim(withoutClaim(claims, "email"), "email_verified");
    case "oversized":
      return { ...claims, padding: "x".repeat(200_000) };
    default:
      return claims;
  }
}

/**
 * Signs `claims` as the provider would, or with the given `fault`.
 * Returns undefined when the token should be left out.
 */
export async function signIdToken(
  ring: KeyRing,
  claims: JWTPayload,
  fault: TokenFault | undefined,
  issuer: string,
): Promise<string | undefined> {
  const key = ring.current();
  const payload = fault === undefined ? claims : faultyClaims(claims, fault);
  const sign = (header: { [name: string]: unknown }, signer = key.privateKey): Promise<string> =>
    new SignJWT(payload)
      .setProtectedHeader({ alg: "RS256", typ: "JWT", ...header })
      .sign(signer, { crit: { "urn:sandbox": true } });
  switch (fault) {
    case "missing":
      return undefined;
    case "not-a-jwt":
      return "not-a-jwt";
    case "alg-none":
      return `${base64url({ alg: "none", typ: "JWT" })}.${base64url(payload)}.`;
    case "hs256-public-key": {
      const input = `${base64url({ alg: "HS256", typ: "JWT", kid: key.kid })}.${base64url(payload)}`;
      const secret = await exportSPKI(key.publicKey);
      return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
    }
    case "unknown-kid":
      return sign(
        { kid: "nobody-knows-this-key" },
        (await makeKey("nobody-knows-this-key")).privateKey,
      );
    case "no-kid":
      return sign({}, (await makeKey("unpublished")).privateKey);
    case "jku-header": {
      const other = await makeKey("attacker");
      return sign({ kid: other.kid, jku: `${issuer}/evil-jwks` }, other.privateKey);
    }
    case "jwk-header": {
      const other = await makeKey("attacker");
      return sign({ kid: other.kid, jwk: other.publicJwk }, other.privateKey);
    }
    case "crit-header":
      return sign({ kid: key.kid, crit: ["urn:sandbox"], "urn:sandbox": true });
    case "bad-signature": {
      const good = await sign({ kid: key.kid });
      return `${good.slice(0, good.lastIndexOf(".") + 1)}${randomBytes(256).toString("base64url")}`;
    }
    case "jwe-shaped":
      return [
        base64url({ alg: "RSA-OAEP", enc: "A256GCM" }),
        "AAAA",
        "AAAA",
        base64url(payload),
        "AAAA",
      ].join(".");
    default:
      return sign({ kid: key.kid });
  }
}
