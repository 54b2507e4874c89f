// Text that may be JSON or not.

/** What `text` says as JSON; undefined where it is none: no JSON says that. */
export function jsonOrUndefined(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch {
    return undefined;
  }
}
