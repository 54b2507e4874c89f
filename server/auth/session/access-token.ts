// Access tokens: signed JWTs (RFC 8725, RFC 9068), verified once and then cached until they expire.
import { createSecretKey, hash, type KeyObject } from "node:crypto";
import { errors, type JWTPayload, jwtVerify, SignJWT } from "jose";
import { LRUCache } from "lru-cache";
import { AppError } from "../../lib/errors.ts";
import { isStrictJws } from "../../lib/jws.ts";
import { keyId } from "../../lib/keys.ts";

const ISSUER = "skywork";
const AUDIENCE = "skywork-api";
/** RFC 9068 2.1. With it, no ID token or refresh token can pass for an access token. */
const TYPE = "at+jwt";
const ALGORITHM = "HS256";
/** Ours have about 350 characters; anything much longer is refused before it costs a parse. */
const MAX_TOKEN_LENGTH = 2048;
const MAX_REMEMBERED = 50_000;
/** The clocks of two instances may differ by this much before a token counts as issued in the future. */
const ISSUED_AHEAD_SECONDS = 600;

/** The claims of an access token. */
interface AccessClaims {
  readonly userId: string;
  readonly sessionId: string;
  /** users.authVersion at signing; a token with another version is refused. */
  readonly authVersion: number;
  readonly expiresAtMs: number;
}

/** Signs and verifies access tokens. */
export interface AccessTokens {
  /** The token expires at `notAfterMs` at the latest, so that it never outlives its sign-in. */
  sign(
    claims: Omit<AccessClaims, "expiresAtMs">,
    notAfterMs: number,
  ): Promise<{ token: string; expiresAt: Date }>;
  /** Throws UNAUTHENTICATED, or TOKEN_EXPIRED for a token that was once valid. Returns cached claims synchronously. */
  verify(token: string): AccessClaims | Promise<AccessClaims>;
  /** Evicts a token whose session has ended or changed. */
  forget(token: string): void;
}

const refused = (cause?: unknown) =>
  AppError.of("UNAUTHENTICATED", "Please sign in.", undefined, cause);
const expired = () => AppError.of("TOKEN_EXPIRED", "The access token has expired. Refresh it.");

/** Returns access tokens under `secrets`: the first signs, all verify. */
export function createAccessTokens(options: {
  secrets: readonly string[];
  ttlSeconds: number;
  now: () => number;
}): AccessTokens {
  const { now, ttlSeconds } = options;
  const keys = readKeys(options.secrets);
  // Keyed by hash, so that a heap dump shows no token and the memory per entry is bounded.
  const remembered = new LRUCache<string, AccessClaims>({ max: MAX_REMEMBERED });

  async function verifyAndRemember(token: string, print: string): Promise<AccessClaims> {
    const claims = await verifyJwt(keys.byId, token, now());
    remembered.set(print, claims);
    return claims;
  }

  return {
    sign(claims, notAfterMs) {
      const issuedAtSeconds = Math.floor(now() / 1000);
      const endsAtSeconds = Math.min(issuedAtSeconds + ttlSeconds, Math.floor(notAfterMs / 1000));
      return signJwt(keys.signing, claims, { issuedAtSeconds, endsAtSeconds });
    },
    verify(token) {
      if (token.length > MAX_TOKEN_LENGTH) throw refused();
      const print = fingerprint(token);
      const known = remembered.get(print);
      if (known === undefined) return verifyAndRemember(token, print);
      if (known.expiresAtMs > now()) return known;
      remembered.delete(print);
      throw expired();
    },
    forget: (token) => void remembered.delete(fingerprint(token)),
  };
}

interface SigningKey {
  readonly id: string;
  readonly key: KeyObject;
}

function readKeys(secrets: readonly string[]) {
  const all = secrets.map((secret) => ({
    id: keyId(secret),
    key: createSecretKey(secret, "utf8"),
  }));
  const [signing] = all;
  if (signing === undefined) throw new Error("JWT_SECRET is empty.");
  return { signing, byId: new Map(all.map(({ id, key }) => [id, key])) };
}

function fingerprint(token: string): string {
  return hash("sha256", token, "base64");
}

async function signJwt(
  { id, key }: SigningKey,
  { userId, sessionId, authVersion }: Omit<AccessClaims, "expiresAtMs">,
  life: { issuedAtSeconds: number; endsAtSeconds: number },
): Promise<{ token: string; expiresAt: Date }> {
  const token = await new SignJWT({ sid: sessionId, ver: authVersion })
    .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid: id })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setSubject(userId)
    .setIssuedAt(life.issuedAtSeconds)
    .setExpirationTime(life.endsAtSeconds)
    .sign(key);
  return { token, expiresAt: new Date(life.endsAtSeconds * 1000) };
}

async function verifyJwt(
  keys: ReadonlyMap<string, KeyObject>,
  token: string,
  nowMs: number,
): Promise<AccessClaims> {
  if (!isStrictJws(token)) throw refused();
  try {
    const { payload } = await jwtVerify(
      token,
      ({ kid }) => {
        const key = kid === undefined ? undefined : keys.get(kid);
        if (key === undefined) throw refused();
        return key;
      },
      {
        algorithms: [ALGORITHM],
        typ: TYPE,
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ["exp", "iat", "sub", "sid", "ver"],
        currentDate: new Date(nowMs),
      },
    );
    return readClaims(payload, nowMs);
  } catch (error) {
    // jose checks the signature before the expiry, so only a token that we signed can count as expired.
    if (error instanceof errors.JWTExpired) throw expired();
    throw error instanceof AppError ? error : refused(error);
  }
}

function readClaims({ sub, sid, ver, exp, iat }: JWTPayload, nowMs: number): AccessClaims {
  if (
    typeof sub !== "string" ||
    typeof sid !== "string" ||
    !Number.isSafeInteger(ver) ||
    exp === undefined ||
    iat === undefined ||
    iat > nowMs / 1000 + ISSUED_AHEAD_SECONDS
  ) {
    throw refused();
  }
  return { userId: sub, sessionId: sid, authVersion: ver as number, expiresAtMs: exp * 1000 };
}
