// Which `returnTo` may follow a sign-in: a path on the frontend, and nothing a browser reads as more.

const MAX_LENGTH = 512;
const MAX_DECODINGS = 3;
/** Never dialled: a stand-in that shows whether a path leaves its origin. */
const ORIGIN = "http://frontend.invalid";

/** `value` as a path with query and fragment, or null for anything else (absolute, `//`, `/\`, control characters, encoded tricks). */
export function safeReturnTo(value: unknown): string | null {
  if (typeof value !== "string" || value.length > MAX_LENGTH) return null;
  if (!staysOnPath(value)) return null;
  // A frontend's router may decode once more than a browser does: every reading must stay a plain path.
  let reading = value.split(/[?#]/, 1)[0] ?? "";
  for (let round = 0; round < MAX_DECODINGS; round++) {
    let decoded: string;
    try {
      decoded = decodeURIComponent(reading);
    } catch {
      return null;
    }
    if (decoded === reading) break;
    if (!staysOnPath(decoded)) return null;
    reading = decoded;
  }
  const url = new URL(value, ORIGIN);
  return url.pathname + url.search + url.hash;
}

function staysOnPath(text: string): boolean {
  if (!/^\/(?![/\\])[^\\\p{Cc}\p{Cf}]*$/u.test(text) || !URL.canParse(text, ORIGIN)) return false;
  // `/..//evil` only becomes `//evil` once the dots are resolved.
  const url = new URL(text, ORIGIN);
  return url.origin === ORIGIN && !url.pathname.startsWith("//");
}
