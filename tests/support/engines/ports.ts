// Finding a port a server can come back to.
import { createServer } from "node:net";

const MAX_ATTEMPTS = 200;

/** Whether nobody listens on this loopback port. */
export async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  const free = await new Promise<boolean>((resolve) => {
    probe.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true));
  });
  if (free) await new Promise((resolve) => probe.close(resolve));
  return free;
}

/**
 * A loopback port nobody listens on, below those that Linux gives to outgoing connections: while its server is down
 * nobody gets it by chance, so that the server can have it again.
 */
export async function lastingPort(): Promise<number> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    if (await isFree(port)) return port;
  }
  throw new Error("No loopback port is free");
}
