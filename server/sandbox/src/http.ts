// Small HTTP helpers that the stand-ins share: bounded bodies, listening, closing, and checks on the caller.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

const MAX_BODY_BYTES = 1_000_000;
const KEEP_ALIVE_MS = 65_000;

/** Reads a request body as text, at most 1 MB; undefined when it is larger. */
export async function readBody(req: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of req) {
    const piece = chunk as Buffer;
    size += piece.length;
    if (size > MAX_BODY_BYTES) return undefined;
    chunks.push(piece);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** The path and query of a request. The host of the returned URL is a placeholder. */
export function targetOf(req: IncomingMessage): URL {
  const asked = `http://sandbox${req.url?.startsWith("/") ? req.url : "/"}`;
  return new URL(URL.canParse(asked) ? asked : "http://sandbox/");
}

/** A request to a hosted page. */
export interface PageRequest {
  method: string;
  path: string;
  /** A form, for POST. */
  body: string;
}

/** One header as text. */
export function header(req: IncomingMessage, name: string): string | null {
  const value = req.headers[name];
  return Array.isArray(value) ? (value[0] ?? null) : (value ?? null);
}

/** Starts a server. When the port is taken, rejects with a message that names it and says what to do. */
export async function listen(
  name: string,
  port: number,
  host: string,
  handler: (req: IncomingMessage, res: ServerResponse) => Promise<void>,
): Promise<{ server: Server; port: number }> {
  const server = createServer((req, res) => {
    handler(req, res).catch((error: unknown) => {
      // A sandbox that hides its own bugs would mislead the person testing against it.
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      console.error(`${name}: ${text}`);
      if (!res.headersSent) res.writeHead(500, { "Content-Type": "text/plain" });
      res.end("The sandbox failed; its console says why.\n");
    });
  });
  // Longer than clients keep idle connections, so that none is closed just as it is reused.
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      reject(
        error.code === "EADDRINUSE"
          ? new Error(
              `${name} cannot listen on ${host}:${port}: the port is taken, perhaps by another sandbox that is still running. Stop that one or choose another port.`,
              { cause: error },
            )
          : error,
      );
    });
    server.listen(port, host, resolve);
  });
  const address = server.address() as AddressInfo;
  return { server, port: address.port };
}

/** Stops a server and cuts any open connection, such as a hanging response. */
export async function closeServer(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** Whether the `Host` header names loopback or an allowed host. This check prevents DNS rebinding. */
export function hostAllowed(req: IncomingMessage, allowHosts: string[]): boolean {
  const given = header(req, "host") ?? "";
  const name = given
    .replace(/:\d+$/, "")
    .replace(/^\[|\]$/g, "")
    .toLowerCase();
  return (
    name === "localhost" ||
    name === "::1" ||
    /^127(\.\d{1,3}){3}$/.test(name) ||
    allowHosts.includes(name)
  );
}

/** Whether a browser sent the request from a page of another origin. */
export function isCrossSite(req: IncomingMessage): boolean {
  const origin = header(req, "origin");
  if (origin === null) return false;
  return !URL.canParse(origin) || new URL(origin).host !== header(req, "host");
}
