// What is written to a socket in one burst arrives complete, in order, and in one piece.
import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { sendInBursts } from "../../server/lib/bursts.ts";

function recorder() {
  const sent: string[] = [];
  const socket = new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done) {
      sent.push(chunk);
      done();
    },
    writev(chunks, done) {
      sent.push(chunks.map(({ chunk }) => String(chunk)).join("+"));
      done();
    },
  });
  return { socket, sent };
}

test("one burst is one write, and the next burst another", async () => {
  const { socket, sent } = recorder();
  sendInBursts(socket, setImmediate);
  for (const word of ["one", "two", "three"]) socket.write(word);
  expect(sent).toEqual([]);
  await new Promise((resolve) => setImmediate(resolve));
  socket.write("four");
  await new Promise((resolve) => setImmediate(resolve));
  expect(sent).toEqual(["one+two+three", "four"]);
});

test("nothing is lost when the socket ends within a burst", async () => {
  const { socket, sent } = recorder();
  sendInBursts(socket, setImmediate);
  socket.write("last");
  await new Promise<void>((resolve) => socket.end(() => resolve()));
  expect(sent).toEqual(["last"]);
});
