// A load balancer of a test's own in front of several instances.
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { serve } from "./ports.ts";

/** One instance behind it. */
export interface Instance {
  readonly url: string;
  /** Ends it by SIGTERM; resolves with its exit code. */
  stop(): Promise<number>;
}

/** Asks the next instance where nobody listens, as nginx does, and repeats nothing else. */
export type Balancer = Awaited<ReturnType<typeof startBalancer>>;

/** Starts a load balancer without instances on a free loopback port. */
export async function startBalancer() {
  let targets: Instance[] = [];
  let turn = 0;
  const agent = new Agent({ keepAlive: false });
  // Never closed while a client may be sending its next request on it.
  const options = { keepAliveTimeout: 600_000 };
  const { port, close } = await serve((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => forward(Buffer.concat(chunks), targets.length));
    function forward(body: Buffer, tries: number): void {
      turn += 1;
      const target = targets[turn % targets.length];
      const sent = request(
        `${target?.url}${incoming.url}`,
        { agent, method: incoming.method, headers: incoming.headers },
        (answer) => {
          // Of this connection, not of the client's.
          const { connection: _, "keep-alive": __, ...headers } = answer.headers;
          outgoing.writeHead(answer.statusCode ?? 502, headers);
          answer.pipe(outgoing);
        },
      );
      sent.on("error", (error: NodeJS.ErrnoException) => {
        if (error.code === "ECONNREFUSED" && tries > 0) return forward(body, tries - 1);
        // As our own refusals look, so that clients ask again.
        if (!outgoing.headersSent) outgoing.writeHead(503, { "retry-after": "1" });
        outgoing.end(`SERVICE_UNAVAILABLE: the instance broke off (${error.message})`);
      });
      outgoing.on("close", () => sent.destroy());
      sent.end(body);
    }
  }, options);
  const remove = (server: Instance): void => {
    targets = targets.filter((target) => target !== server);
  };
  return {
    port,
    add: (server: Instance) => void targets.push(server),
    /** Takes it out, as a failed probe does. */
    remove,
    /** Tells it to end, takes it out `noticedAfterMs` later, and resolves with its exit code. */
    async drain(server: Instance, noticedAfterMs: number) {
      const ended = server.stop();
      await sleep(noticedAfterMs);
      remove(server);
      return ended;
    },
    close,
  };
}
