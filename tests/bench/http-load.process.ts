// Owns the callers of the HTTP rows, in a process of their own: raw keep-alive connections, so that little CPU goes to asking.
import { randomUUID } from "node:crypto";
import { connect, type Socket } from "node:net";
import { closedLoop, type Measured } from "./load.ts";

/** What to call, for how long. */
export interface LoadOrder {
  readonly port: number;
  readonly method: "GET" | "POST";
  readonly path: string;
  /** Each call is by one of them, in turn by chance; empty = nobody. */
  readonly tokens: readonly string[];
  /** The body; `KEY` in it becomes a new UUID at each call. */
  readonly body: string;
  readonly inFlight: number;
  readonly seconds: number;
}

/** What came of it. `refused` counts the answers that were not 200. */
export interface LoadAnswer extends Measured {
  readonly refused: number;
  readonly firstRefusal: string;
}

/** One connection; one request at a time on it. Resolves with the whole answer. */
function open(port: number): Promise<{ ask(text: string): Promise<string>; socket: Socket }> {
  return new Promise((resolve, reject) => {
    let waiting: { resolve: (answer: string) => void; reject: (error: Error) => void } | null =
      null;
    let received = "";
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    socket.setEncoding("latin1");
    const failed = (error: Error) => {
      reject(error);
      waiting?.reject(error);
    };
    socket.on("error", failed);
    socket.on("close", () => failed(new Error("The connection was closed.")));
    socket.on("data", (chunk: string) => {
      received += chunk;
      if (!isWhole(received)) return;
      const answer = received;
      received = "";
      waiting?.resolve(answer);
    });
    socket.on("connect", () =>
      resolve({
        socket,
        ask: (text) =>
          new Promise((done, broken) => {
            waiting = { resolve: done, reject: broken };
            socket.write(text);
          }),
      }),
    );
  });
}

function isWhole(answer: string): boolean {
  const headEnd = answer.indexOf("\r\n\r\n");
  if (headEnd === -1) return false;
  const length = /\r\ncontent-length: (\d+)/i.exec(answer)?.[1];
  if (length === undefined) return answer.endsWith("\r\n0\r\n\r\n");
  return answer.length >= headEnd + 4 + Number(length);
}

async function load(order: LoadOrder): Promise<LoadAnswer> {
  const { port, method, path, tokens, body, inFlight, seconds } = order;
  const length = Buffer.byteLength(body.replaceAll("KEY", randomUUID()));
  const about =
    method === "GET" ? "" : `content-type: application/json\r\ncontent-length: ${length}\r\n`;
  // What a browser sends beside it; a server has to read it.
  const start = `${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nuser-agent: bench\r\naccept: */*\r\n${about}`;
  const heads = tokens.map((token) => `${start}authorization: Bearer ${token}\r\n\r\n`);
  if (heads.length === 0) heads.push(`${start}\r\n`);
  const connections = await Promise.all(Array.from({ length: inFlight }, () => open(port)));
  let refused = 0;
  let firstRefusal = "";
  try {
    const measured = await closedLoop({
      inFlight,
      seconds,
      async work(caller) {
        const head = heads[Math.floor(Math.random() * heads.length)] ?? "";
        const answer = await connections[caller]?.ask(
          method === "GET" ? head : head + body.replace("KEY", randomUUID()),
        );
        if (answer?.startsWith("HTTP/1.1 200 ")) return;
        refused += 1;
        firstRefusal ||= answer ?? "";
      },
    });
    return { ...measured, refused, firstRefusal };
  } finally {
    for (const { socket } of connections) {
      socket.removeAllListeners("close");
      socket.destroy();
    }
  }
}

process.on("message", (order: LoadOrder) => {
  void load(order).then((answer) => process.send?.(answer));
});
process.once("disconnect", () => process.exit(0));
