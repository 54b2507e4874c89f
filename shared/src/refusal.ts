// What this API's "no" looks like on the wire: nothing else that answers in its place is taken for one.
import type { AppErrorData } from "./errors.ts";

/** Codes that a new access token may mend. */
const RENEWABLE: readonly string[] = [
  "UNAUTHENTICATED",
  "TOKEN_EXPIRED",
] satisfies AppErrorData["code"][];

/** The code of an error as this API sends it, from `data.app`; null for any other error. */
export function codeOf(data: unknown): string | null {
  const code = field(field(data, "app"), "code");
  return typeof code === "string" ? code : null;
}

/** The code of an answer's text, as `codeOf`: null also for what is no JSON. */
export function codeIn(text: string): string | null {
  try {
    return codeOf(field(field(JSON.parse(text), "error"), "data"));
  } catch {
    return null;
  }
}

/** Whether a refused call is worth a refresh. */
export function isRenewable(data: unknown): boolean {
  return RENEWABLE.includes(codeOf(data) ?? "");
}

/** A field of what may be anything; undefined where there is none. */
export function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null
    ? Object.getOwnPropertyDescriptor(value, name)?.value
    : undefined;
}
