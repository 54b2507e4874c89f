// Recognizes this API's own refusals on the wire; a response from anything in front of it is not taken for one.
import type { AppErrorData } from "./errors.ts";

/** Codes that a new access token may resolve. */
const RENEWABLE: readonly string[] = [
  "UNAUTHENTICATED",
  "TOKEN_EXPIRED",
] satisfies AppErrorData["code"][];

/** Returns the code of an error that this API sent, from `data.app`; null for any other error. */
export function codeOf(data: unknown): string | null {
  const code = field(field(data, "app"), "code");
  return typeof code === "string" ? code : null;
}

/** Returns the code in a response's text, like `codeOf`; null also for text that is not JSON. */
export function codeIn(text: string): string | null {
  try {
    return codeOf(field(field(JSON.parse(text), "error"), "data"));
  } catch {
    return null;
  }
}

/** Whether a refused call is worth retrying after a refresh. */
export function isRenewable(data: unknown): boolean {
  return RENEWABLE.includes(codeOf(data) ?? "");
}

/** Returns a field of any value; undefined if there is none. */
export function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null
    ? Object.getOwnPropertyDescriptor(value, name)?.value
    : undefined;
}
