// Strict parsing of a compact JWS: jose decodes leniently, and a token must have only one spelling.
import { jsonOrUndefined } from "./json.ts";

const SEGMENT = /^[A-Za-z0-9_-]+$/;
const TIMES = ["exp", "iat", "nbf"] as const;

/**
 * Decodes unpadded base64url (RFC 7515 section 2) in its only spelling, whose spare bits are zero; null for any other
 * text.
 */
function decode(segment: string): Buffer | null {
  if (!SEGMENT.test(segment)) return null;
  const bytes = Buffer.from(segment, "base64url");
  return bytes.toString("base64url") === segment ? bytes : null;
}

/**
 * Parses the JSON in a segment. Buffer keeps a byte order mark, which JSON.parse rejects; a TextDecoder would swallow
 * it.
 */
function jsonOf(bytes: Buffer): unknown {
  return jsonOrUndefined(bytes.toString("utf8"));
}

/**
 * Whether `token` is a compact JWS as this server accepts one: three unpadded base64url segments, JSON without a byte
 * order mark, and whole seconds in `exp`, `iat` and `nbf`. Does not check the signature.
 */
export function isStrictJws(token: string): boolean {
  const segments = token.split(".");
  if (segments.length !== 3) return false;
  const [header, payload, signature] = segments.map(decode);
  if (!header || !payload || !signature) return false;
  const claims = jsonOf(payload);
  if (typeof jsonOf(header) !== "object" || typeof claims !== "object" || claims === null)
    return false;
  return TIMES.every((name) => {
    const time: unknown = Object.getOwnPropertyDescriptor(claims, name)?.value;
    return time === undefined || Number.isSafeInteger(time);
  });
}
