// Opaque cursors: where a page of a list ended, as a client hands it back.
import { type AppError, invalidField } from "./errors.ts";
import { LAST_MS } from "./time.ts";

/** A place in a list ordered by time, then by id. */
export interface TimePlace {
  readonly at: Date;
  readonly id: string;
}

const TIME_PLACE = /^(\d{1,15})_([A-Za-z0-9_-]{1,255})$/;

/** `text` as a cursor. */
export function encodeCursor(text: string): string {
  return Buffer.from(text).toString("base64url");
}

/** The groups of `pattern` in a cursor's text. Throws VALIDATION_FAILED for what is no cursor of ours. */
export function decodeCursor(cursor: string, pattern: RegExp): string[] {
  const text = Buffer.from(cursor, "base64url").toString();
  const match = pattern.exec(text);
  // Decoding is lenient; a cursor of ours comes out of encoding again as it went in.
  if (match === null || encodeCursor(text) !== cursor) throw foreignCursor();
  return match.slice(1);
}

/** The refusal of a cursor that is not of this list. */
export function foreignCursor(): AppError {
  return invalidField("cursor", "Use nextCursor as the last answer gave it.");
}

/** A place in a list ordered by time as its cursor. */
export function encodeTimePlace({ at, id }: TimePlace): string {
  return encodeCursor(`${at.getTime()}_${id}`);
}

/** The place a cursor stands for. Throws VALIDATION_FAILED for what is no cursor of ours. */
export function decodeTimePlace(cursor: string): TimePlace {
  const [ms, id = ""] = decodeCursor(cursor, TIME_PLACE);
  if (Number(ms) > LAST_MS) throw foreignCursor();
  return { at: new Date(Number(ms)), id };
}
