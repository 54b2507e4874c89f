// Keys derived from configured secrets: one per purpose, so that no token can stand in for another.
import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";

/** Returns a 32-byte key for one `purpose` (HKDF, RFC 5869). */
export function deriveKey(secret: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync("sha256", secret, "", `skywork ${purpose}`, 32));
}

/** Returns the `kid` of a secret: distinguishes the secrets of a list without revealing anything about them. */
export function keyId(secret: string): string {
  return createHmac("sha256", secret).update("skywork kid").digest("base64url").slice(0, 12);
}

/** Returns the HMAC-SHA256 of the concatenated parts, each of which must be of fixed length or self-delimiting. */
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
