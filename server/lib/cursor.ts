// Opaque cursors: where a page of a list ended, in the form that a client hands back.
import { type AppError, invalidField } from "./errors.ts";
import { LAST_MS } from "./time.ts";

/** A position in a list ordered by time, then by id. */
export interface TimePlace {
  readonly at: Date;
  readonly id: string;
}

const TIME_PLACE = /^(\d{1,15})_([A-Za-z0-9_-]{1,255})$/;

/** Encodes `text` as a cursor. */
export function encodeCursor(text: string): string {
  return Buffer.from(text).toString("base64url");
}

/** Returns the groups of `pattern` in a cursor's text. Throws VALIDATION_FAILED if it is not a cursor of ours. */
export function decodeCursor(cursor: string, pattern: RegExp): string[] {
  const text = Buffer.from(cursor, "base64url").toString();
  const match = pattern.exec(text);
  // Decoding is lenient, but a cursor of ours is exactly what encoding its text yields.
  if (match === null || encodeCursor(text) !== cursor) throw foreignCursor();
  return match.slice(1);
}

/** Returns VALIDATION_FAILED for a cursor that does not belong to this list. */
export function foreignCursor(): AppError {
  return invalidField("cursor", "Use nextCursor as the last answer gave it.");
}

/** Encodes a position as a cursor. */
export function encodeTimePlace({ at, id }: TimePlace): string {
  return encodeCursor(`${at.getTime()}_${id}`);
}

/** Returns the position that a cursor encodes. Throws VALIDATION_FAILED if it is not a cursor of ours. */
export function decodeTimePlace(cursor: string): TimePlace {
  const [ms, id = ""] = decodeCursor(cursor, TIME_PLACE);
  if (Number(ms) > LAST_MS) throw foreignCursor();
  return { at: new Date(Number(ms)), id };
}
