// Where browsers reach this API, which itself sees only what its proxy passes on.
const CALLBACK_PATH = "/api/auth/google/callback";

/**
 * Returns what precedes `/api` in this API's public addresses, judging by the callback URL that browsers return to: the
 * origin, and any path prefix that a proxy strips. If the callback has another path, the origin alone.
 */
export function publicBaseOf(callbackUrl: string): string {
  const { origin, pathname } = new URL(callbackUrl);
  return pathname.endsWith(CALLBACK_PATH)
    ? origin + pathname.slice(0, -CALLBACK_PATH.length)
    : origin;
}
