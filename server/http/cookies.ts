// Cookies on the wire: reads them, duplicates included, and writes ours with one set of attributes.
import type { SignInCookie } from "../auth/auth.types.ts";
import type { Config } from "../config/config.ts";
import { trimOptionalWhitespace } from "../lib/text.ts";

type CookieConfig = Config["cookies"];

/** More than any browser sends us; the rest of a cookie bomb is ignored. */
const MAX_COOKIES = 100;
/** RFC 6265 4.1.1: a cookie's name is a token. With any other byte around it, it names a different cookie. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** `__Host-` (https) ties the cookie to this host and path: no sibling domain can plant one (RFC 6265bis 4.1.3.2). */
export function refreshCookieName(cookies: CookieConfig): string {
  return cookies.secure ? "__Host-refresh" : "refresh";
}

/**
 * Returns every cookie of a Cookie header in the order sent, duplicates included. Values are unquoted but not decoded.
 * Names that are not tokens are skipped: a sibling domain can set `0xA0 + __Host-refresh`, and browsers send it.
 */
export function readCookies(header: string | undefined): SignInCookie[] {
  if (header === undefined) return [];
  const found: SignInCookie[] = [];
  for (const part of header.split(";", MAX_COOKIES)) {
    const equals = part.indexOf("=");
    if (equals < 1) continue;
    const name = trimOptionalWhitespace(part.slice(0, equals));
    if (!NAME.test(name)) continue;
    const value = trimOptionalWhitespace(part.slice(equals + 1));
    found.push({ name, value: /^".*"$/.test(value) ? value.slice(1, -1) : value });
  }
  return found;
}

/** Returns every value sent under the refresh cookie's name. */
export function readRefreshCookies(header: string | undefined, cookies: CookieConfig): string[] {
  const name = refreshCookieName(cookies);
  return readCookies(header)
    .filter((cookie) => cookie.name === name)
    .map((cookie) => cookie.value);
}

/** Returns the Set-Cookie value that keeps the refresh token for `maxAgeSeconds`, or clears it (null). */
export function refreshCookie(
  token: string | null,
  maxAgeSeconds: number,
  cookies: CookieConfig,
): string {
  const sameSite = ({ lax: "Lax", strict: "Strict", none: "None" } as const)[cookies.sameSite];
  const { secure } = cookies;
  return serialize(refreshCookieName(cookies), token, { maxAgeSeconds, sameSite, secure });
}

/** Returns a sign-in state's Set-Cookie value; null clears it. Lax, because Google's redirect back is cross-site. */
export function stateCookie(
  name: string,
  value: string | null,
  maxAgeSeconds: number,
  cookies: CookieConfig,
): string {
  const { secure } = cookies;
  return serialize(name, value, { maxAgeSeconds, sameSite: "Lax", secure });
}

interface Attributes {
  readonly maxAgeSeconds: number;
  readonly sameSite: "Lax" | "Strict" | "None";
  readonly secure: boolean;
}

function serialize(
  name: string,
  value: string | null,
  { maxAgeSeconds, sameSite, secure }: Attributes,
): string {
  const kept = value === null ? 0 : Math.max(0, Math.floor(maxAgeSeconds));
  return [
    `${name}=${value ?? ""}`,
    "Path=/",
    `Max-Age=${kept}`,
    // For clients that do not know Max-Age.
    ...(value === null ? ["Expires=Thu, 01 Jan 1970 00:00:00 GMT"] : []),
    "HttpOnly",
    ...(secure ? ["Secure"] : []),
    `SameSite=${sameSite}`,
  ].join("; ");
}
