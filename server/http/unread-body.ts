// Ends the connection of a request that is answered before its body was read.
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";

/** How long the rest of a body is discarded. Bounds an endless one; a client that reads its response stops earlier. */
const LINGER_MS = 2_000;

const ending = new WeakSet<Socket>();

/** Whether the connection ends with a response already begun: no client reads another after it (RFC 9112 9.6). */
export function isEnding(socket: Socket): boolean {
  return ending.has(socket);
}

/**
 * Closes the connection of `request` after its response unless the body was read, because the rest of the body would be
 * taken for the next request. It is closed with a delay: if it were closed immediately, the next byte to arrive would
 * reset it, and the client would lose the response and see a broken connection instead of the reason.
 */
export function closeAfterUnreadBody(
  request: IncomingMessage,
  answer: { setHeader(name: string, value: string): unknown },
): void {
  if (request.readableEnded) return;
  answer.setHeader("Connection", "close");
  const { socket } = request;
  // Several pipelined requests may all be refused.
  if (ending.has(socket)) return;
  ending.add(socket);
  const close = socket.destroySoon.bind(socket);
  // Node.js calls this once the response is written.
  socket.destroySoon = () => {
    socket.end();
    const timer = setTimeout(close, LINGER_MS).unref();
    socket.once("close", () => clearTimeout(timer));
    request.once("end", close).resume();
  };
}
