// Loopback ports: one for a server that comes later, and one that is listened on at once.
import { createServer, type RequestListener, type ServerOptions } from "node:http";
import { type AddressInfo, connect, type Server } from "node:net";

/** Whether nobody listens on this loopback port. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(false);
    }).on("error", () => resolve(true));
  });
}

/**
 * A port nobody listens on, below those that Linux gives to outgoing connections: while its server is down nobody gets
 * it by chance, so that the server can have it again.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    if (await isFree(port)) return port;
  }
  throw new Error("No loopback port is free");
}

/** An HTTP server on any port. Its end cuts every connection. */
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

/** Lets `server` listen on any port; answers which. */
export async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}
