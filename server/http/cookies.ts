// Cookies on the wire: reading them with their duplicates, and the one set of attributes ours have.
import type { SignInCookie } from "../auth/auth.types.ts";
import type { Config } from "../config/config.ts";
import { trimOptionalWhitespace } from "../lib/text.ts";

type CookieConfig = Config["cookies"];

/** More than any browser sends us; the rest of a cookie bomb is not looked at. */
const MAX_COOKIES = 100;
/** RFC 6265 4.1.1: a cookie's name is a token. With other bytes around it, it is another cookie. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** `__Host-` (https) ties the cookie to this host and path: no sibling domain can plant one (RFC 6265bis 4.1.3.2). */
export function refreshCookieName(cookies: CookieConfig): string {
  return cookies.secure ? "__Host-refresh" : "refresh";
}

/**
 * Every cookie of a Cookie header in the order sent, duplicates included. Values are taken as they are; what has no
 * proper name is left out, because a sibling domain can set `0xA0 + __Host-refresh`, and a browser sends it.
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

/** Every value sent under the refresh cookie's name. */
export function readRefreshCookies(header: string | undefined, cookies: CookieConfig): string[] {
  const name = refreshCookieName(cookies);
  return readCookies(header)
    .filter((cookie) => cookie.name === name)
    .map((cookie) => cookie.value);
}

/** The Set-Cookie value that keeps the refresh token for `maxAgeSeconds`, or clears it (null) with the same attributes. */
export function refreshCookie(
  token: string | null,
  maxAgeSeconds: number,
  cookies: CookieConfig,
): string {
  const sameSite = ({ lax: "Lax", strict: "Strict", none: "None" } as const)[cookies.sameSite];
  const { secure } = cookies;
  return serialize(refreshCookieName(cookies), token, { maxAgeSeconds, sameSite, secure });
}

/** The Set-Cookie value of a sign-in state; null clears it. Lax, because Google's redirect back is cross-site. */
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
