// The answers to what never becomes a request: no HTTP, headers too long, too slow. No word of the parser's passes.
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";

/** The headers every answer carries, for a page of this origin (null when it could not be read). */
export type CommonHeaders = (origin: string | null) => readonly (readonly [string, string])[];

const ANSWERS: Readonly<Record<string, readonly [status: number, message: string]>> = {
  HPE_HEADER_OVERFLOW: [431, "The headers of the request are too long."],
  ERR_HTTP_REQUEST_TIMEOUT: [408, "The request did not arrive in time."],
};
const MALFORMED = [400, "The request could not be understood."] as const;

/** Node.js's error for what it cannot read. `rawPacket` is what has come of it. */
interface ClientError extends NodeJS.ErrnoException {
  rawPacket?: Buffer;
}

/** The Origin header of bytes that are not whole or not HTTP, as far as it can be found. */
function originIn(packet: Buffer | undefined): string | null {
  const found = /\r?\norigin:[ \t]*([^\s]{1,255})[ \t]*\r?\n/i.exec(
    packet?.toString("latin1") ?? "",
  );
  return found?.[1] ?? null;
}

/** Makes the listener of `clientError`: a JSON answer with the headers of any other, then the end of the connection. */
export function createClientErrorHandler(headersFor: CommonHeaders) {
  return (error: ClientError, socket: Duplex): void => {
    if (error.code === "ECONNRESET" || !socket.writable) {
      socket.destroy();
      return;
    }
    const [status, message] = ANSWERS[error.code ?? ""] ?? MALFORMED;
    const body = JSON.stringify({
      success: false,
      code: "VALIDATION_FAILED",
      message,
      statusCode: status,
      fields: {},
    });
    const headers = [
      ["Connection", "close"],
      ["Content-Type", "application/json; charset=utf-8"],
      ["Content-Length", String(Buffer.byteLength(body))],
      ...headersFor(originIn(error.rawPacket)),
    ];
    const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines}\r\n${body}`);
  };
}
