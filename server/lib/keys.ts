// Keys derived from configured secrets: one per purpose, so that no token can stand in for another.
import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";

/** A 32-byte key for one `purpose` (HKDF, RFC 5869). */
export function deriveKey(secret: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync("sha256", secret, "", `skywork ${purpose}`, 32));
}

/** The `kid` of a secret: tells secrets of a list apart, tells nothing about them. */
export function keyId(secret: string): string {
  return createHmac("sha256", secret).update("skywork kid").digest("base64url").slice(0, 12);
}

/** HMAC-SHA256 over parts of known or self-telling length. */
export function hmac(key: Buffer, ...parts: (Buffer | string)[]): Buffer {
  const mac = createHmac("sha256", key);
  for (const part of parts) mac.update(part);
  return mac.digest();
}

/** Compares in constant time; strings of unequal length are unequal. */
export function equalSecrets(left: string | Buffer, right: string | Buffer): boolean {
  const a = Buffer.from(left as string);
  const b = Buffer.from(right as string);
  return a.length === b.length && timingSafeEqual(a, b);
}
