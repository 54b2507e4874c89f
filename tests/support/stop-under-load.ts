// Sends SIGTERM to a server under load, for promise 13; the server may be one process or several.
import { Agent, request } from "node:http";
import { expect } from "vitest";
import type { ServerProcess } from "./process.ts";
import { SERVICE_KEY } from "./server-env.ts";

/** Concurrent callers, each with its own connection. */
export const STOP_CLIENTS = 24;

/** The outcomes of the calls. */
interface Tally {
  answered: number;
  /** Calls answered after the signal. */
  afterSignal: number;
  /** Calls cut off in the middle of a request: this must not happen. */
  broken: string[];
  /** Calls refused because nothing listens any more: by then a load balancer has been notified. */
  refused: number;
}

/** Makes one call over `agent` and records its outcome in `tally`. */
function call(url: string, agent: Agent, signalled: () => boolean, tally: Tally): Promise<boolean> {
  return new Promise((resolve) => {
    let connected = false;
    const outgoing = request(
      `${url}/api/trpc/service.spend`,
      {
        agent,
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${SERVICE_KEY}` },
      },
      (answer) => {
        answer.resume();
        answer.on("end", () => {
          tally.answered += 1;
          if (signalled()) tally.afterSignal += 1;
          resolve(true);
        });
        answer.on("error", (error) => {
          tally.broken.push(`answer: ${error.message}`);
          resolve(false);
        });
      },
    );
    outgoing.on("socket", (socket) => {
      if (!socket.connecting) connected = true;
      else socket.once("connect", () => (connected = true));
    });
    outgoing.on("error", (error: NodeJS.ErrnoException) => {
      if (!connected && error.code === "ECONNREFUSED") tally.refused += 1;
      else tally.broken.push(`${error.code ?? ""} ${error.message}`);
      resolve(false);
    });
    outgoing.end(JSON.stringify({ userId: "nobody", feature: "chat-flash", idempotencyKey: "k" }));
  });
}

/** Calls a server from many clients, sends SIGTERM, and expects readiness to fail first and exit code 0 within 10 s. */
export async function stopUnderLoad(server: ServerProcess): Promise<Tally> {
  const tally: Tally = { answered: 0, afterSignal: 0, broken: [], refused: 0 };
  const agent = new Agent({ keepAlive: true, maxSockets: STOP_CLIENTS });
  let signalled = false;
  const clients = Array.from({ length: STOP_CLIENTS }, async () => {
    while (await call(server.url, agent, () => signalled, tally));
  });
  await expect
    .poll(() => tally.answered, { timeout: 60_000, interval: 10 })
    .toBeGreaterThanOrEqual(2 * STOP_CLIENTS);
  // At an arbitrary moment, so that requests are in flight.
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 300));
  const signalledAtMs = Date.now();
  signalled = true;
  server.child.kill("SIGTERM");
  const readiness: number[] = [];
  while (readiness.at(-1) !== 503 && Date.now() - signalledAtMs < 10_000) {
    const answer = await fetch(`${server.url}/ready`).catch(() => null);
    if (!answer) break;
    await answer.body?.cancel();
    readiness.push(answer.status);
  }
  expect(readiness.at(-1), "readiness says no while the port still answers").toBe(503);
  expect(await server.exited).toBe(0);
  expect(Date.now() - signalledAtMs).toBeLessThan(10_000);
  await Promise.all(clients);
  agent.destroy();
  return tally;
}
