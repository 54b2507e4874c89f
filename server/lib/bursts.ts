// One system call for everything written to a socket in one go. Each call costs some ten microseconds, as much as a
// statement.
import type { Writable } from "node:stream";

/**
 * Holds back what is written to `socket` until `whenOver` calls back. Pass `setImmediate` to send together what all
 * callers write in one turn of the event loop.
 */
export function sendInBursts(socket: Writable, whenOver: (send: () => void) => void): void {
  const write = socket.write.bind(socket) as (...chunk: unknown[]) => boolean;
  let isHeld = false;
  const send = () => {
    isHeld = false;
    socket.uncork();
  };
  socket.write = (...chunk: unknown[]) => {
    if (!isHeld) {
      isHeld = true;
      socket.cork();
      whenOver(send);
    }
    return write(...chunk);
  };
}
