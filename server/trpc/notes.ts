// What the one log line of a request says of its procedures.
import type { ErrorCode } from "../../shared/src/errors.ts";
import type { AppError } from "../lib/errors.ts";

/** Written down while a request is answered, by whoever knows it. The calls of a batch share it. */
export interface RequestNotes {
  /** Names of the procedures reached, comma-separated in a batch. */
  procedure: string;
  userId: string | null;
  sessionId: string | null;
  /** The name of the service key that called. */
  service: string | null;
  /** Where a caller was refused for who they are, or for asking too often: their address. */
  refusedIp: string | null;
  /** The code of the refusal; of several the first, and one that is ours to mend before all others. */
  code: ErrorCode | null;
  /** What is ours to mend, with its stack. */
  error: unknown;
  creditsCharged: number;
  creditsGranted: number;
}

/** Notes of a request of which nothing is known yet. */
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

/** Whether `code` refuses a caller for who they are. */
export function isDenial(code: ErrorCode): boolean {
  return DENIALS.has(code);
}

/** Notes that a procedure was reached. */
export function noteProcedure(notes: RequestNotes, path: string): void {
  notes.procedure = notes.procedure === "" ? path : `${notes.procedure},${path}`;
}

/** Notes why a request, or one call of it, was refused. */
export function noteRefusal(notes: RequestNotes, error: AppError): void {
  const isOurs = error.httpStatus >= 500;
  if (notes.code !== null && (!isOurs || notes.error !== undefined)) return;
  notes.code = error.code;
  if (isOurs) notes.error = error.cause ?? error;
}

/** Notes what a mutation's answer says it has charged or granted; a replay moved nothing. */
export function noteCredits(notes: RequestNotes, answer: unknown): void {
  if (typeof answer !== "object" || answer === null) return;
  const { charged, creditsAdded, replayed } = answer as Record<string, unknown>;
  if (replayed === true) return;
  if (typeof charged === "number") notes.creditsCharged += charged;
  if (typeof creditsAdded === "number") notes.creditsGranted += creditsAdded;
}
