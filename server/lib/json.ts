// Text that may or may not be JSON.

/** Returns the value of `text` as JSON, or undefined (which no JSON text yields) if it is not JSON. */
export function jsonOrUndefined(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch {
    return undefined;
  }
}
