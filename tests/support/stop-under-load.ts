// A SIGTERM under load, as promise 13 has it, for a server of one process or of several.
import { Agent, request } from "node:http";
import { expect } from "vitest";
import type { ServerProcess } from "./process.ts";
import { SERVICE_KEY } from "./server-env.ts";

/** Callers at once, each with a connection of its own. */
export const STOP_CLIENTS = 24;

/** What became of the calls. */
interface Tally {
  answered: number;
  /** Answers that came after the signal. */
  afterSignal: number;
  /** Broken in the middle of a request: the thing that must not happen. */
  broken: string[];
  /** Refused because nobody listens any more: a load balancer has been told before. */
  refused: number;
}

/** One call over `agent`; what became of it goes into `tally`. */
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

/** Calls a server from many clients, sends it SIGTERM, and expects readiness to fail first and exit 0 within 10 s. */
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
  // In the middle of whatever they ask then.
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
