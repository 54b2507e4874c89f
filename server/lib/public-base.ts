// Where browsers find this API, which itself sees only what its proxy passes on.
const CALLBACK_PATH = "/api/auth/google/callback";

/**
 * What stands before `/api` in this API's addresses, as the callback that browsers come back to shows it: an origin, and the
 * prefix that a proxy takes away. A callback of another path says the origin alone.
 */
export function publicBaseOf(callbackUrl: string): string {
  const { origin, pathname } = new URL(callbackUrl);
  return pathname.endsWith(CALLBACK_PATH)
    ? origin + pathname.slice(0, -CALLBACK_PATH.length)
    : origin;
}
