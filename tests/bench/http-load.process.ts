// The callers of the HTTP rows, in a separate process: raw keep-alive connections, because a client library costs more
// than the server it calls. The answer includes their own CPU cost.
import { randomUUID } from "node:crypto";
import { connect, type Socket } from "node:net";
import { closedLoop, type Measured } from "./load.ts";

/** One request. */
export interface LoadRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** Sent as JSON; each call replaces `KEY` in it with a new UUID. */
  readonly body?: string;
}

/** What to call, and for how long. */
export interface LoadOrder {
  readonly port: number;
  readonly request: LoadRequest;
  /** Each call uses one of them, chosen at random. */
  readonly tokens: readonly string[];
  /** Whether the run that was started is then read to its end, on the same connection. */
  readonly readsRun?: boolean;
  readonly inFlight: number;
  readonly seconds: number;
}

/** The result. `refused` counts answers that were not as expected. */
export interface LoadAnswer extends Measured {
  readonly refused: number;
  readonly firstRefusal: string;
  readonly cpuMicroseconds: number;
}

/** A connection that carries one request at a time. `ask` resolves with the whole answer. */
interface Connection {
  ask(text: string): Promise<string>;
  readonly socket: Socket;
}

function open(port: number): Promise<Connection> {
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
            socket.write(text, "latin1");
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

/** The request's start and the headers that all callers share, with those a browser sends and a server has to parse. */
function startOf({ method, path, body }: LoadRequest, port: number, accept = "*/*"): string {
  const length = Buffer.byteLength((body ?? "").replace("KEY", randomUUID()));
  const about =
    method === "GET" ? "" : `content-type: application/json\r\ncontent-length: ${length}\r\n`;
  return `${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nuser-agent: bench\r\naccept: ${accept}\r\n${about}`;
}

const isOk = (answer: string) => answer.startsWith("HTTP/1.1 200 ");

/** Reads the run named in the answer `started`; resolves with the bad answer, or null if it completed. */
async function readRun(connection: Connection, token: string, port: number, started: string) {
  const runId = /"runId":"([^"]+)"/.exec(started)?.[1] ?? "";
  const input = encodeURIComponent(JSON.stringify({ runId }));
  const path = `/api/trpc/ai.stream?input=${input}`;
  const head = startOf({ method: "GET", path }, port, "text/event-stream");
  const stream = await connection.ask(`${head}authorization: Bearer ${token}\r\n\r\n`);
  return isOk(stream) && stream.includes('"outcome":"completed"') ? null : stream;
}

async function load(order: LoadOrder): Promise<LoadAnswer> {
  const { port, request, tokens, inFlight, seconds } = order;
  const start = startOf(request, port);
  const heads = tokens.map((token) => `${start}authorization: Bearer ${token}\r\n\r\n`);
  const connections = await Promise.all(Array.from({ length: inFlight }, () => open(port)));
  const { body } = request;
  let refused = 0;
  let firstRefusal = "";
  const cpu = process.cpuUsage();
  try {
    const measured = await closedLoop({
      inFlight,
      seconds,
      async work(caller) {
        const who = Math.floor(Math.random() * heads.length);
        const head = heads[who] ?? "";
        const connection = connections[caller];
        if (connection === undefined) return;
        const answer = await connection.ask(
          body === undefined ? head : head + body.replace("KEY", randomUUID()),
        );
        let refusal = isOk(answer) ? null : answer;
        if (refusal === null && order.readsRun === true)
          refusal = await readRun(connection, tokens[who] ?? "", port, answer);
        if (refusal === null) return;
        refused += 1;
        firstRefusal ||= refusal;
      },
    });
    const { user, system } = process.cpuUsage(cpu);
    return { ...measured, refused, firstRefusal, cpuMicroseconds: user + system };
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
