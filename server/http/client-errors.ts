// Responses to what never becomes a request: not HTTP, oversized headers, too slow. Parser messages are not exposed.
import { randomUUID } from "node:crypto";
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";

/** Returns the headers of every response to a page of this origin (null when it could not be read). */
export type CommonHeaders = (origin: string | null) => readonly (readonly [string, string])[];

const ANSWERS: Readonly<Record<string, readonly [status: number, message: string]>> = {
  HPE_HEADER_OVERFLOW: [431, "The headers of the request are too long."],
  ERR_HTTP_REQUEST_TIMEOUT: [408, "The request did not arrive in time."],
};
const MALFORMED = [400, "The request could not be understood."] as const;

/** Node.js's error for input it cannot parse. `rawPacket` holds the bytes received. */
interface ClientError extends NodeJS.ErrnoException {
  rawPacket?: Buffer;
}

/** Finds the Origin header in bytes that may be incomplete or not HTTP; null if there is none. */
function originIn(packet: Buffer | undefined): string | null {
  const found = /\r?\norigin:[ \t]*([^\s]{1,255})[ \t]*\r?\n/i.exec(
    packet?.toString("latin1") ?? "",
  );
  return found?.[1] ?? null;
}

/** Creates the `clientError` listener: sends a JSON error with the common headers, then closes the connection. */
export function createClientErrorHandler(headersFor: CommonHeaders) {
  return (error: ClientError, socket: Duplex): void => {
    if (error.code === "ECONNRESET" || !socket.writable) {
      socket.destroy();
      return;
    }
    const [status, message] = ANSWERS[error.code ?? ""] ?? MALFORMED;
    const common = headersFor(originIn(error.rawPacket));
    const [, requestId = randomUUID()] = common.find(([name]) => name === "X-Request-Id") ?? [];
    const body = JSON.stringify({
      success: false,
      code: "VALIDATION_FAILED",
      message,
      statusCode: status,
      requestId,
      fields: {},
    });
    const headers = [
      ["Connection", "close"],
      ["Content-Type", "application/json; charset=utf-8"],
      ["Content-Length", String(Buffer.byteLength(body))],
      ...common,
    ];
    const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines}\r\n${body}`);
  };
}
