// Verifies an ID token: every claim of OpenID Connect Core 3.1.3.7 that says who signed in, where and when.
import { errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";
import { z } from "zod";
import type { VerifiedIdentity } from "../../auth/auth.types.ts";
import { equalSecrets } from "../../lib/keys.ts";
import { SignInFailure } from "../../auth/sign-in/sign-in-error.ts";
import { isStrictJws } from "../../lib/jws.ts";
import { asciiLowerCase, cutText } from "../../lib/text.ts";

/** Google signs only with RS256. This excludes `none`, and HS256 with the public key as its secret (RFC 8725 2.1). */
const ALGORITHMS = ["RS256"];
const MAX_LENGTH = 16_384;
/** The clock skew allowed. */
const TOLERANCE_SECONDS = 60;
/** An ID token is used right after it is issued. */
const MAX_AGE_SECONDS = 600;

const GOOGLE = "https://accounts.google.com";

const personSchema = z.object({
  sub: z
    .string()
    .min(1)
    .max(255)
    .regex(/^[\x20-\x7e]+$/),
  // An address has at most 254 characters (RFC 5321). Lower-cased in ASCII only: no two addresses that the provider
  // distinguishes may become one here.
  email: z
    .string()
    .max(254)
    .regex(/^[^\s@\p{C}]+@[^\s@\p{C}]+$/u)
    .transform(asciiLowerCase),
});

/** What the token must match. */
export interface ExpectedToken {
  readonly issuer: string;
  readonly clientId: string;
  readonly nonce: string;
  readonly keys: JWTVerifyGetKey;
  readonly nowMs: number;
}

/** Returns the spellings an issuer may use for itself; Google has two. */
export function issuerAliases(issuer: string): string[] {
  return issuer === GOOGLE ? [GOOGLE, "accounts.google.com"] : [issuer];
}

/**
 * Returns the identity an ID token vouches for. Throws SignInFailure: identity_invalid, email_not_verified,
 * provider_error (an issuer we cannot work with), or the key fetch's.
 */
export async function verifyIdToken(
  idToken: string,
  expected: ExpectedToken,
): Promise<VerifiedIdentity> {
  if (idToken.length > MAX_LENGTH) throw invalid("the ID token is too long");
  if (idToken.split(".").length === 5) {
    throw unusable("it encrypts ID tokens (JWE): register this client for signed ones only");
  }
  if (!isStrictJws(idToken)) throw invalid("the ID token is no strictly written JWS");
  const claims = await verifySignature(idToken, expected);
  checkParties(claims, expected.clientId);
  if (typeof claims["nonce"] !== "string" || !equalSecrets(claims["nonce"], expected.nonce)) {
    throw invalid("the ID token belongs to another sign-in (nonce)");
  }
  if (claims["email"] === undefined && claims["email_verified"] === undefined) {
    throw unusable("its ID tokens carry no e-mail claims (at its userinfo endpoint only, perhaps)");
  }
  // Exactly true: "true", 1 or absence vouch for nothing.
  if (claims["email_verified"] !== true) {
    throw new SignInFailure("email_not_verified", "the provider does not vouch for the address");
  }
  const person = personSchema.safeParse(claims);
  if (!person.success) throw invalid("the ID token names nobody", person.error);
  return {
    issuer: expected.issuer,
    subject: person.data.sub,
    email: person.data.email,
    name: cleanName(claims["name"]),
    avatar: httpsUrl(claims["picture"]),
  };
}

async function verifySignature(idToken: string, expected: ExpectedToken): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(idToken, expected.keys, {
      algorithms: ALGORITHMS,
      issuer: issuerAliases(expected.issuer),
      audience: expected.clientId,
      requiredClaims: ["iss", "aud", "sub", "exp", "iat"],
      clockTolerance: TOLERANCE_SECONDS,
      maxTokenAge: MAX_AGE_SECONDS,
      currentDate: new Date(expected.nowMs),
    });
    return payload;
  } catch (error) {
    if (error instanceof SignInFailure) throw error;
    if (error instanceof errors.JOSEError || error instanceof TypeError) {
      throw invalid("the ID token does not verify", error);
    }
    throw error;
  }
}

/** Core 3.1.3.7 rules 3-5: a token that is also for other clients must have been issued to us. */
function checkParties(claims: JWTPayload, clientId: string): void {
  const azp = claims["azp"];
  if (azp !== undefined && azp !== clientId)
    throw invalid("the ID token was issued to another client");
  if (Array.isArray(claims.aud) && claims.aud.length > 1 && azp === undefined) {
    throw invalid("the ID token is for several clients and names none of them as its own");
  }
}

function cleanName(claim: unknown): string | null {
  if (typeof claim !== "string") return null;
  const name = cutText(claim.replace(/[\p{Cc}\s]+/gu, " ").trim(), 200).trim();
  return name === "" ? null : name;
}

function httpsUrl(claim: unknown): string | null {
  if (typeof claim !== "string" || claim.length > 2048 || !URL.canParse(claim)) return null;
  const url = new URL(claim);
  return url.protocol === "https:" ? url.href.slice(0, 2048) : null;
}

/** Not the user's fault: the issuer works in a way this server does not support. */
function unusable(reason: string): SignInFailure {
  return new SignInFailure("provider_error", `sign-in cannot work with this issuer: ${reason}`);
}

function invalid(message: string, cause?: unknown): SignInFailure {
  return new SignInFailure("identity_invalid", message, cause);
}
