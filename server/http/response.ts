// Writes responses outside tRPC: JSON bodies and the REST error shape.
import type { IncomingMessage, ServerResponse } from "node:http";
import { type AppError, isAppError } from "../lib/errors.ts";
import { noteRefusal } from "../trpc/notes.ts";
import { messageFor, toAppError } from "../trpc/trpc.ts";
import { recordOf } from "./request-record.ts";

/** Writes a JSON response; does nothing if one has begun or the client has left. */
export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent || response.destroyed) return;
  const text = JSON.stringify(body);
  response.statusCode = status;
  response.setHeader("Content-Type", "application/json; charset=utf-8");
  response.setHeader("Content-Length", Buffer.byteLength(text));
  response.end(text);
}

/** Returns the REST form of an error: `{"success":false,code,message,statusCode,requestId,…details}`. */
export function restError(error: AppError, requestId: string) {
  const message = messageFor(error, requestId);
  const { code, httpStatus: statusCode, details } = error;
  return { success: false, code, message, statusCode, requestId, ...details };
}

/** Body-parser, Express and router errors carry their status in `status` or `statusCode`. */
function statusOf(error: unknown): number | null {
  if (typeof error !== "object" || error === null || isAppError(error)) return null;
  const status = "statusCode" in error ? error.statusCode : "status" in error ? error.status : null;
  return typeof status === "number" && status >= 400 && status < 500 ? status : null;
}

const CODE_OF_STATUS: Readonly<Record<number, "NOT_FOUND" | "PAYLOAD_TOO_LARGE" | "FORBIDDEN">> = {
  403: "FORBIDDEN",
  404: "NOT_FOUND",
  413: "PAYLOAD_TOO_LARGE",
};

/** Sends any error in its REST form, with `Retry-After` if it has one. Text of an unexpected error is never exposed. */
export function sendError(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
): void {
  const { requestId, notes } = recordOf(request);
  const status = statusOf(error);
  if (status !== null) {
    const code = CODE_OF_STATUS[status] ?? "VALIDATION_FAILED";
    const details = code === "VALIDATION_FAILED" ? { fields: {} } : {};
    notes.code ??= code;
    sendJson(response, status, {
      ...{ success: false, code, message: "The request could not be understood." },
      ...{ statusCode: status, requestId, ...details },
    });
    return;
  }
  const appError = toAppError(error);
  noteRefusal(notes, appError);
  const { retryAfterSeconds } = appError.details;
  if (typeof retryAfterSeconds === "number" && !response.headersSent)
    response.setHeader("Retry-After", String(retryAfterSeconds));
  sendJson(response, appError.httpStatus, restError(appError, requestId));
}
