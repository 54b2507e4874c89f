// Owns sign-in attempts: what must be remembered between the two halves of a sign-in, sealed into one cookie each.
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { z } from "zod";
import { deriveKey, equalSecrets } from "../keys.ts";
import { uuid } from "../session/refresh-token.ts";

/** RFC 9700 4.7: state lives as long as a person needs to sign in, and no longer. */
export const ATTEMPT_TTL_SECONDS = 600;
/** More tabs than anyone signs in from at once; keeps the Cookie header small. */
export const MAX_ATTEMPTS = 5;

const IV_BYTES = 12;
const TAG_BYTES = 16;
const MAX_VALUE_LENGTH = 4096;
const STATE_PATTERN = /^[A-Za-z0-9_-]{43}$/;

/** A cookie by name and value. */
export interface AttemptCookie {
  readonly name: string;
  readonly value: string;
}

const attemptSchema = z.object({
  state: z.string().regex(STATE_PATTERN),
  nonce: z.string(),
  codeVerifier: z.string(),
  returnTo: z.string().nullable(),
  startedAtMs: z.int(),
});
/** One sign-in under way in one tab of one browser. */
export type Attempt = z.infer<typeof attemptSchema>;

/** Makes and opens attempt cookies. */
export interface Attempts {
  begin(returnTo: string | null): { attempt: Attempt; cookie: AttemptCookie };
  /** The attempt of `state` among `cookies`; null when this browser never began it. */
  find(state: string, cookies: readonly AttemptCookie[]): Attempt | null;
  expired(attempt: Attempt): boolean;
  /** Cookie names to clear so that at most `MAX_ATTEMPTS - 1` live attempts stay beside a new one. */
  surplus(cookies: readonly AttemptCookie[]): string[];
  /** The cookie's name for a state; null for what cannot be one of ours. */
  cookieName(state: string): string | null;
  /**
   * The id of the one session this attempt may end in: made from the attempt, so that the sessions' primary key
   * lets a callback that is sent twice at once make one session, whatever Redis does.
   */
  sessionId(attempt: Attempt): string;
}

/** Whether a cookie of this name could be one of our attempts. */
export function isAttemptCookie(name: string): boolean {
  return /^(__Host-)?signin_/.test(name);
}

/** Attempts sealed under `secrets`: the first seals, all open. `secure`: https, so the name takes the `__Host-` prefix. */
export function createAttempts(options: {
  secrets: readonly string[];
  secure: boolean;
  now: () => number;
}): Attempts {
  const { now } = options;
  const keys = options.secrets.map((secret) => deriveKey(secret, "sign-in attempt"));
  const [sealKey] = keys;
  if (sealKey === undefined) throw new Error("JWT_SECRET holds no secret.");
  const prefix = `${options.secure ? "__Host-" : ""}signin_`;
  const cookieName = (state: string) =>
    STATE_PATTERN.test(state) ? prefix + state.slice(0, 16) : null;

  function seal(key: Buffer, attempt: Attempt, name: string): string {
    const iv = randomBytes(IV_BYTES);
    // The name is authenticated too: a sealed value cannot be moved to another attempt's cookie.
    const cipher = createCipheriv("aes-256-gcm", key, iv);
    cipher.setAAD(Buffer.from(name));
    const body = Buffer.concat([cipher.update(JSON.stringify(attempt)), cipher.final()]);
    return Buffer.concat([iv, body, cipher.getAuthTag()]).toString("base64url");
  }

  function open(cookie: AttemptCookie): Attempt | null {
    if (cookie.value.length > MAX_VALUE_LENGTH) return null;
    const bytes = Buffer.from(cookie.value, "base64url");
    if (bytes.length <= IV_BYTES + TAG_BYTES) return null;
    for (const key of keys) {
      try {
        const cipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, IV_BYTES));
        cipher.setAAD(Buffer.from(cookie.name));
        cipher.setAuthTag(bytes.subarray(-TAG_BYTES));
        const body = cipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES));
        return attemptSchema.parse(JSON.parse(Buffer.concat([body, cipher.final()]).toString()));
      } catch {
        // Sealed under another key, or not by us.
      }
    }
    return null;
  }

  const expired = (attempt: Attempt) => now() >= attempt.startedAtMs + ATTEMPT_TTL_SECONDS * 1000;

  return {
    cookieName,
    expired,
    begin(returnTo) {
      const random = () => randomBytes(32).toString("base64url");
      const attempt = {
        state: random(),
        nonce: random(),
        codeVerifier: random(),
        returnTo,
        startedAtMs: now(),
      };
      const name = prefix + attempt.state.slice(0, 16);
      return { attempt, cookie: { name, value: seal(sealKey, attempt, name) } };
    },
    find(state, cookies) {
      const name = cookieName(state);
      for (const cookie of cookies) {
        if (cookie.name !== name) continue;
        const attempt = open(cookie);
        if (attempt !== null && equalSecrets(attempt.state, state)) return attempt;
      }
      return null;
    },
    surplus(cookies) {
      const live: { name: string; startedAtMs: number }[] = [];
      const clear = new Set<string>();
      for (const cookie of cookies) {
        if (!isAttemptCookie(cookie.name)) continue;
        const attempt = open(cookie);
        if (attempt === null || expired(attempt)) clear.add(cookie.name);
        else live.push({ name: cookie.name, startedAtMs: attempt.startedAtMs });
      }
      live.sort((a, b) => b.startedAtMs - a.startedAtMs);
      for (const { name } of live.slice(MAX_ATTEMPTS - 1)) clear.add(name);
      return [...clear];
    },
    sessionId(attempt) {
      const bytes = createHash("sha256").update(attempt.state).digest().subarray(0, 16);
      // UUID v7: the attempt's time first, so that new sessions are neighbours in the index.
      bytes.writeUIntBE(attempt.startedAtMs, 0, 6);
      bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x70, 6);
      bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
      return uuid(bytes);
    },
  };
}
