// How a request ends that is answered before its body was read.
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";

/** How long what still comes is thrown away. It bounds a body without end; a client that reads its answer stops before. */
const LINGER_MS = 2_000;

const ending = new WeakSet<Socket>();

/** Whether a connection ends with an answer that was begun: nobody will read that of another request (RFC 9112 9.6). */
export function isEnding(socket: Socket): boolean {
  return ending.has(socket);
}

/**
 * Ends the connection of `request` after its answer unless the body was read: what is left of it would be taken for the next
 * request. Closed at once, the connection would be reset by the next byte that comes, and its client would lose the answer
 * and see a broken connection instead of the reason.
 */
export function closeUnread(
  request: IncomingMessage,
  answer: { setHeader(name: string, value: string): unknown },
): void {
  if (request.readableEnded) return;
  answer.setHeader("Connection", "close");
  const { socket } = request;
  // Requests that came at once may all be refused.
  if (ending.has(socket)) return;
  ending.add(socket);
  const close = socket.destroySoon.bind(socket);
  // Node.js calls it once the answer is written.
  socket.destroySoon = () => {
    socket.end();
    const timer = setTimeout(close, LINGER_MS).unref();
    socket.once("close", () => clearTimeout(timer));
    request.once("end", close).resume();
  };
}
