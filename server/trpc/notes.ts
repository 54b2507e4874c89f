// What a request's single log line says about its procedures.
import type { ErrorCode } from "../../shared/src/errors.ts";
import type { AppError } from "../lib/errors.ts";

/** Filled in while a request is handled, by whichever code knows the fact. The calls of a batch share it. */
export interface RequestNotes {
  /** Names of the procedures reached, comma-separated in a batch. */
  procedure: string;
  userId: string | null;
  sessionId: string | null;
  /** The name of the calling service key. */
  service: string | null;
  /** The caller's address, if a call was refused for who they are or for calling too often. */
  refusedIp: string | null;
  /** The code of the refusal. Of several, the first server-side failure (5xx), or else the first one. */
  code: ErrorCode | null;
  /** The first server-side failure, with its stack. */
  error: unknown;
  creditsCharged: number;
  creditsGranted: number;
}

/** Returns the notes of a request about which nothing is known yet. */
export function emptyNotes(): RequestNotes {
  return {
    procedure: "",
    userId: null,
    sessionId: null,
    service: null,
    refusedIp: null,
    code: null,
    error: undefined,
    creditsCharged: 0,
    creditsGranted: 0,
  };
}

const DENIALS: ReadonlySet<ErrorCode> = new Set([
  "UNAUTHENTICATED",
  "TOKEN_EXPIRED",
  "SESSION_REVOKED",
  "REFRESH_REUSED",
  "FORBIDDEN",
]);

/** Whether `code` refuses callers because of who they are. */
export function isDenial(code: ErrorCode): boolean {
  return DENIALS.has(code);
}

/** Notes that a procedure was reached. */
export function noteProcedure(notes: RequestNotes, path: string): void {
  notes.procedure = notes.procedure === "" ? path : `${notes.procedure},${path}`;
}

/** Notes why a request, or one call of it, was refused. */
export function noteRefusal(notes: RequestNotes, error: AppError): void {
  const isServerError = error.httpStatus >= 500;
  if (notes.code !== null && (!isServerError || notes.error !== undefined)) return;
  notes.code = error.code;
  if (isServerError) notes.error = error.cause ?? error;
}

/** Notes the credits that a mutation's result says it charged or granted; a replay moved none. */
export function noteCredits(notes: RequestNotes, answer: unknown): void {
  if (typeof answer !== "object" || answer === null) return;
  const { charged, creditsAdded, replayed } = answer as Record<string, unknown>;
  if (replayed === true) return;
  if (typeof charged === "number") notes.creditsCharged += charged;
  if (typeof creditsAdded === "number") notes.creditsGranted += creditsAdded;
}
