// Sign-in states: what must be remembered between the two halves of a sign-in, each sealed into its own cookie.
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { z } from "zod";
import { deriveKey, equalSecrets } from "../../lib/keys.ts";
import type { SignInCookie } from "../auth.types.ts";
import { uuid } from "../session/refresh-token.ts";

/** RFC 9700 4.7. A state lives as long as a person needs to sign in, and no longer. */
export const STATE_TTL_SECONDS = 600;
/** More tabs than anyone signs in from simultaneously. Keeps the Cookie header small. */
export const MAX_STATES = 5;

const IV_BYTES = 12;
const TAG_BYTES = 16;
const MAX_VALUE_LENGTH = 4096;
const STATE_PATTERN = /^[A-Za-z0-9_-]{43}$/;

const stateSchema = z.object({
  state: z.string().regex(STATE_PATTERN),
  nonce: z.string(),
  codeVerifier: z.string(),
  returnTo: z.string().nullable(),
  startedAtMs: z.int(),
});
/** One sign-in under way in one tab of one browser. */
export type SignInState = z.infer<typeof stateSchema>;

/** Makes and opens state cookies. */
export interface SignInStates {
  begin(returnTo: string | null): { state: SignInState; cookie: SignInCookie };
  /** Returns the sign-in of `state` among `cookies`; null if this browser did not start it. */
  find(state: string, cookies: readonly SignInCookie[]): SignInState | null;
  expired(state: SignInState): boolean;
  /** Returns the names of cookies to clear, so that at most `MAX_STATES - 1` live sign-ins remain beside a new one. */
  surplus(cookies: readonly SignInCookie[]): string[];
  /** Returns the name of a state's cookie; null if the state cannot be one of ours. */
  cookieName(state: string): string | null;
  /**
   * Returns the id of the only session this sign-in may create. It is derived from the state, so that the primary key
   * of `sessions` lets a callback that is sent twice simultaneously create one session, whatever Redis does.
   */
  sessionId(state: SignInState): string;
}

/** Whether a cookie of this name could be one of our state cookies. */
export function isStateCookie(name: string): boolean {
  return /^(__Host-)?signin_/.test(name);
}

/** Returns states under `secrets`: the first seals, all open. With `secure` (https), names get the `__Host-` prefix. */
export function createSignInStates(options: {
  secrets: readonly string[];
  secure: boolean;
  now: () => number;
}): SignInStates {
  const { now } = options;
  // The purpose is part of the key, so changing its wording would invalidate the sign-ins that are under way.
  const keys = options.secrets.map((secret) => deriveKey(secret, "sign-in attempt"));
  const [sealKey] = keys;
  if (sealKey === undefined) throw new Error("JWT_SECRET is empty.");
  const prefix = `${options.secure ? "__Host-" : ""}signin_`;
  return {
    cookieName: (state) => nameOf(prefix, state),
    expired: (state) => isExpired(state, now()),
    begin(returnTo) {
      const state = newState(returnTo, now());
      const name = prefix + state.state.slice(0, 16);
      return { state, cookie: { name, value: seal(sealKey, state, name) } };
    },
    find: (state, cookies) => findState(keys, { state, name: nameOf(prefix, state) }, cookies),
    surplus: (cookies) => surplusCookies(keys, cookies, now()),
    sessionId: sessionIdOf,
  };
}

function nameOf(prefix: string, state: string): string | null {
  return STATE_PATTERN.test(state) ? prefix + state.slice(0, 16) : null;
}

function isExpired({ startedAtMs }: SignInState, nowMs: number): boolean {
  return nowMs >= startedAtMs + STATE_TTL_SECONDS * 1000;
}

function newState(returnTo: string | null, startedAtMs: number): SignInState {
  const random = () => randomBytes(32).toString("base64url");
  return { state: random(), nonce: random(), codeVerifier: random(), returnTo, startedAtMs };
}

function seal(key: Buffer, state: SignInState, name: string): string {
  const iv = randomBytes(IV_BYTES);
  // The name is authenticated, too, so that a sealed value cannot be moved to another sign-in's cookie.
  const cipher = createCipheriv("aes-256-gcm", key, iv);
  cipher.setAAD(Buffer.from(name));
  const body = Buffer.concat([cipher.update(JSON.stringify(state)), cipher.final()]);
  return Buffer.concat([iv, body, cipher.getAuthTag()]).toString("base64url");
}

function open(keys: readonly Buffer[], cookie: SignInCookie): SignInState | null {
  if (cookie.value.length > MAX_VALUE_LENGTH) return null;
  const bytes = Buffer.from(cookie.value, "base64url");
  if (bytes.length <= IV_BYTES + TAG_BYTES) return null;
  for (const key of keys) {
    try {
      const cipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, IV_BYTES));
      cipher.setAAD(Buffer.from(cookie.name));
      cipher.setAuthTag(bytes.subarray(-TAG_BYTES));
      const body = cipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES));
      return stateSchema.parse(JSON.parse(Buffer.concat([body, cipher.final()]).toString()));
    } catch {
      // Sealed under another key, or not by us.
    }
  }
  return null;
}

function findState(
  keys: readonly Buffer[],
  wanted: { state: string; name: string | null },
  cookies: readonly SignInCookie[],
): SignInState | null {
  for (const cookie of cookies) {
    if (cookie.name !== wanted.name) continue;
    const found = open(keys, cookie);
    if (found !== null && equalSecrets(found.state, wanted.state)) return found;
  }
  return null;
}

function surplusCookies(
  keys: readonly Buffer[],
  cookies: readonly SignInCookie[],
  nowMs: number,
): string[] {
  const live: { name: string; startedAtMs: number }[] = [];
  const clear = new Set<string>();
  for (const cookie of cookies) {
    if (!isStateCookie(cookie.name)) continue;
    const state = open(keys, cookie);
    if (state === null || isExpired(state, nowMs)) clear.add(cookie.name);
    else live.push({ name: cookie.name, startedAtMs: state.startedAtMs });
  }
  live.sort((a, b) => b.startedAtMs - a.startedAtMs);
  for (const { name } of live.slice(MAX_STATES - 1)) clear.add(name);
  return [...clear];
}

function sessionIdOf({ state, startedAtMs }: SignInState): string {
  const bytes = createHash("sha256").update(state).digest().subarray(0, 16);
  // UUID v7 puts the time of the sign-in first, so that new sessions are adjacent in the index.
  bytes.writeUIntBE(startedAtMs, 0, 6);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x70, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return uuid(bytes);
}
