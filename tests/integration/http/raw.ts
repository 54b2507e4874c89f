// HTTP as an attacker writes it: bytes on a socket, without the conventions of a client.
import { connect } from "node:net";

/** The answer. */
export interface RawAnswer {
  status: number;
  headers: Map<string, string>;
  body: string;
}

/** Sends `text` verbatim to the server at `url` and reads until the connection ends or `waitMs` have passed. */
export function sendRaw(url: string, text: string, waitMs = 5_000): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) });
    let received = "";
    const timer = setTimeout(() => socket.end(), waitMs);
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => (received += chunk));
    socket.on("error", (error) => {
      if (received === "") reject(error);
    });
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(parse(received));
    });
    socket.write(text);
  });
}

function parse(text: string): RawAnswer {
  const end = text.indexOf("\r\n\r\n");
  const [line = "", ...lines] = text.slice(0, Math.max(end, 0)).split("\r\n");
  const headers = new Map(
    lines.map((header): [string, string] => {
      const colon = header.indexOf(":");
      return [header.slice(0, colon).toLowerCase(), header.slice(colon + 1).trim()];
    }),
  );
  return { status: Number(line.split(" ")[1] ?? 0), headers, body: text.slice(end + 4) };
}
