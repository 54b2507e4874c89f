// Which `returnTo` may follow a sign-in: a path on the frontend, and nothing that a browser could take for more.

const MAX_LENGTH = 512;
const MAX_DECODINGS = 3;
/** Never contacted: a placeholder that shows whether a path leaves its origin. */
const ORIGIN = "http://frontend.invalid";

/**
 * Returns `value` as a path with query and fragment, or null for anything else (absolute URLs, `//`, `/\`, control
 * characters, encoded tricks).
 */
export function safeReturnTo(value: unknown): string | null {
  if (typeof value !== "string" || value.length > MAX_LENGTH) return null;
  if (!staysOnPath(value)) return null;
  const path = value.split(/[?#]/, 1)[0] ?? "";
  if (!staysDecoded(path, MAX_DECODINGS)) return null;
  const url = new URL(value, ORIGIN);
  return url.pathname + url.search + url.hash;
}

/**
 * Whether every reading of `path` stays on the frontend. The frontend's router may decode once more than the browser,
 * which has already resolved `.` and `..`: by then, `/./%2fevil` has become `/%2fevil`.
 */
function staysDecoded(path: string, decodings: number): boolean {
  if (!staysOnPath(path)) return false;
  if (decodings === 0) return true;
  const resolved = new URL(path, ORIGIN).pathname;
  return [path, resolved].every((reading) => {
    try {
      const decoded = decodeURIComponent(reading);
      return decoded === reading || staysDecoded(decoded, decodings - 1);
    } catch {
      return false;
    }
  });
}

function staysOnPath(text: string): boolean {
  if (!/^\/(?![/\\])[^\\\p{Cc}\p{Cf}]*$/u.test(text) || !URL.canParse(text, ORIGIN)) return false;
  // `/..//evil` only becomes `//evil` once the dots are resolved.
  const url = new URL(text, ORIGIN);
  return url.origin === ORIGIN && !url.pathname.startsWith("//");
}
