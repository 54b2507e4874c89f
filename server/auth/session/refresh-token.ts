// Refresh tokens: opaque to clients, derivable only by this server, provably ours or refused (RFC 9700 4.14).
import { randomBytes } from "node:crypto";
import { deriveKey, equalSecrets, hmac } from "../../lib/keys.ts";

// prefix + base64url(session id 16 | generation 4 | secret 32 | tag 16)
const PREFIX = "skr_";
const BYTES = { id: 16, generation: 4, secret: 32, tag: 16 };
const SIGNED_BYTES = BYTES.id + BYTES.generation + BYTES.secret;
const TOTAL_BYTES = SIGNED_BYTES + BYTES.tag;
const TOKEN_LENGTH = PREFIX.length + Math.ceil((TOTAL_BYTES * 4) / 3);

/** A token that this server once issued, whether or not it is still valid. */
export interface RefreshToken {
  readonly text: string;
  readonly sessionId: string;
  /** 0 at sign-in, one more at every rotation. */
  readonly generation: number;
  readonly secret: Buffer;
}

/** Makes and recognises refresh tokens. */
export interface RefreshTokens {
  /** Returns the first token of a session (`sessionId` is a UUID). */
  first(sessionId: string): RefreshToken;
  /** Returns the only successor of `token`, the same on every call and on every instance. */
  successor(token: RefreshToken): RefreshToken;
  /** Returns the successor under every key still in use, because an instance with a former key may have made it. */
  successors(token: RefreshToken): RefreshToken[];
  /**
   * Returns the token, or null unless it is exactly one of ours. Because of the tag, a token that merely names a
   * session is worthless: only one that was really issued can count as reused.
   */
  parse(text: string): RefreshToken | null;
  /** Returns what the database stores of a token, under the first key. */
  hash(token: RefreshToken): string;
  /** Whether `storedHash` is the hash of this token, under any key still in use. */
  matches(token: RefreshToken, storedHash: string): boolean;
}

interface Keys {
  tag: Buffer;
  hash: Buffer;
  successor: Buffer;
}

/** Returns refresh tokens under `secrets`: the first makes new tokens, all recognise tokens. */
export function createRefreshTokens(secrets: readonly string[]): RefreshTokens {
  const keys: Keys[] = secrets.map((secret) => ({
    tag: deriveKey(secret, "refresh tag"),
    hash: deriveKey(secret, "refresh hash"),
    successor: deriveKey(secret, "refresh successor"),
  }));
  const [current] = keys;
  if (current === undefined) throw new Error("REFRESH_TOKEN_SECRET is empty.");
  return {
    first: (sessionId) =>
      writeToken(current, { sessionId, generation: 0, secret: randomBytes(BYTES.secret) }),
    successor: (token) => writeSuccessor(current, token),
    successors: (token) => keys.map((key) => writeSuccessor(key, token)),
    parse: (text) => parseToken(keys, text),
    hash: (token) => hashToken(current, token),
    matches: (token, storedHash) =>
      keys.some((key) => equalSecrets(hashToken(key, token), storedHash)),
  };
}

function tagOf(key: Keys, signed: Buffer): Buffer {
  return hmac(key.tag, signed).subarray(0, BYTES.tag);
}

function hashToken(key: Keys, token: RefreshToken): string {
  return hmac(key.hash, token.text).toString("hex");
}

function writeToken(key: Keys, parts: Omit<RefreshToken, "text">): RefreshToken {
  const id = Buffer.from(parts.sessionId.replaceAll("-", ""), "hex");
  if (id.length !== BYTES.id) throw new Error("A session id must be a UUID.");
  const generation = Buffer.alloc(BYTES.generation);
  generation.writeUInt32BE(parts.generation);
  const signed = Buffer.concat([id, generation, parts.secret]);
  const text = PREFIX + Buffer.concat([signed, tagOf(key, signed)]).toString("base64url");
  return { ...parts, text };
}

function writeSuccessor(key: Keys, { sessionId, generation, secret }: RefreshToken): RefreshToken {
  const next = generation + 1;
  const nextSecret = hmac(key.successor, `${sessionId}:${next}:`, secret);
  return writeToken(key, { sessionId, generation: next, secret: nextSecret });
}

function parseToken(keys: readonly Keys[], text: string): RefreshToken | null {
  if (text.length !== TOKEN_LENGTH || !text.startsWith(PREFIX)) return null;
  const bytes = Buffer.from(text.slice(PREFIX.length), "base64url");
  // Decoding base64url ignores spare bits and some characters, so only the canonical spelling counts.
  if (bytes.length !== TOTAL_BYTES || PREFIX + bytes.toString("base64url") !== text) return null;
  const signed = bytes.subarray(0, SIGNED_BYTES);
  const tag = bytes.subarray(SIGNED_BYTES);
  if (!keys.some((key) => equalSecrets(tagOf(key, signed), tag))) return null;
  return {
    text,
    sessionId: uuid(bytes.subarray(0, BYTES.id)),
    generation: bytes.readUInt32BE(BYTES.id),
    secret: bytes.subarray(BYTES.id + BYTES.generation, SIGNED_BYTES),
  };
}

/** Returns 16 bytes written as a UUID. */
export function uuid(bytes: Buffer): string {
  const hex = bytes.toString("hex");
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20, 32),
  ].join("-");
}
