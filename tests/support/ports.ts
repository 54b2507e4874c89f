// Loopback ports: a free one for a server started later, or one that is listened on immediately.
import { createServer, type RequestListener, type ServerOptions } from "node:http";
import { type AddressInfo, connect, type Server } from "node:net";

/** Whether nothing listens on this loopback port. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(false);
    }).on("error", () => resolve(true));
  });
}

/**
 * Returns a port nothing listens on, below the range Linux uses for outgoing connections: nothing takes it by chance
 * while its server is down, so the server can be restarted on it.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    if (await isFree(port)) return port;
  }
  throw new Error("No loopback port is free");
}

/** Starts an HTTP server on any free port. Closing it cuts every connection. */
export async function serve(listener: RequestListener, options: ServerOptions = {}) {
  const server = createServer(options, listener);
  const port = await listen(server);
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Lets `server` listen on any free port; resolves with the port. */
export async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}
