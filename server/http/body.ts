// The rules for a JSON body: its type, size and depth.
import type { IncomingMessage } from "node:http";
import { AppError } from "../lib/errors.ts";
import { jsonOrUndefined } from "../lib/json.ts";
import { asciiLowerCase, trimOptionalWhitespace } from "../lib/text.ts";

/**
 * Largest JSON body, in bytes. Whatever the contract allows must also fit when a client escapes its JSON to ASCII: a
 * deck of 100 kB then takes 300 kB (a two-byte letter becomes six bytes), and an instruction of 4,000 characters 24 kB.
 */
export const MAX_JSON_BYTES = 350_000;

/** Deepest nesting of arrays and objects; no input of the contract is deeper than 4. */
export const MAX_JSON_DEPTH = 32;

/** Whether the request declares uncompressed UTF-8 JSON. Anything else could be a cross-site simple request. */
export function isJson(request: IncomingMessage): boolean {
  const type = request.headers["content-type"];
  if (type === undefined || request.headers["content-encoding"] !== undefined) return false;
  if (type === "application/json") return true;
  const [media = "", ...parameters] = type
    .split(";")
    .map((part) => asciiLowerCase(trimOptionalWhitespace(part)));
  return (
    media === "application/json" &&
    parameters.every((part) => part === "" || /^charset="?utf-?8"?$/.test(part))
  );
}

/**
 * Parses JSON after checking its depth on the text; returns undefined for empty text. Throws VALIDATION_FAILED, also
 * for a `__proto__` key at any depth, which zod would silently drop.
 */
export function parseJson(text: string): unknown {
  if (text === "") return undefined;
  assertSafeJson(text);
  const value = jsonOrUndefined(text);
  if (value === undefined) throw malformed("The request is not valid JSON.");
  return value;
}

/** Throws what parseJson throws for JSON that is too deep or has a prototype key; text that is not JSON passes. */
export function assertSafeJson(text: string): void {
  if (isTooDeep(text)) throw malformed(`JSON may be nested ${MAX_JSON_DEPTH} deep at most.`);
  if (!/__proto__|\\u/i.test(text)) return;
  // Invalid JSON passes here: the code that parses it next reports the error itself.
  if (hasPrototypeKey(jsonOrUndefined(text))) throw malformed("Prototype keys are not allowed.");
}

function hasPrototypeKey(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Object.hasOwn(value, "__proto__")) return true;
  return Object.values(value).some(hasPrototypeKey);
}

const QUOTE = 34;
const BACKSLASH = 92;

/** Whether the text, valid JSON or not, nests brackets deeper than MAX_JSON_DEPTH outside strings. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < text.length; index += 1) {
    const char = text.charCodeAt(index);
    if (inString) {
      if (char === BACKSLASH) index += 1;
      else if (char === QUOTE) inString = false;
    } else if (char === QUOTE) inString = true;
    else if (char === 91 || char === 123) {
      depth += 1;
      if (depth > MAX_JSON_DEPTH) return true;
    } else if (char === 93 || char === 125) depth -= 1;
  }
  return false;
}

/** Returns the VALIDATION_FAILED error for a body or input that cannot be understood. */
export function malformed(message: string): AppError {
  return AppError.of("VALIDATION_FAILED", message, { fields: {} });
}
