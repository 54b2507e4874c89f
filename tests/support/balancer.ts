// A minimal load balancer that a test puts in front of several instances.
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { serve } from "./ports.ts";

/** One instance behind the balancer. */
export interface Instance {
  readonly url: string;
  /** Sends it SIGTERM; resolves with its exit code. */
  stop(): Promise<number>;
}

/** Tries the next instance when a connection is refused, as nginx does, and retries nothing else. */
export type Balancer = Awaited<ReturnType<typeof startBalancer>>;

/** Starts a load balancer on a free loopback port, without any instances yet. */
export async function startBalancer() {
  let targets: Instance[] = [];
  let turn = 0;
  const agent = new Agent({ keepAlive: false });
  // Long enough that it never closes a connection on which a client may be sending its next request.
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
          // These headers describe the connection to the instance, not the client's.
          const { connection: _, "keep-alive": __, ...headers } = answer.headers;
          outgoing.writeHead(answer.statusCode ?? 502, headers);
          answer.pipe(outgoing);
        },
      );
      sent.on("error", (error: NodeJS.ErrnoException) => {
        if (error.code === "ECONNREFUSED" && tries > 0) return forward(body, tries - 1);
        // Shaped like the server's own refusals, so that clients retry.
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
    /** Takes an instance out of rotation, as a failed probe does. */
    remove,
    /** Stops an instance, takes it out of rotation `noticedAfterMs` later, and resolves with its exit code. */
    async drain(server: Instance, noticedAfterMs: number) {
      const ended = server.stop();
      await sleep(noticedAfterMs);
      remove(server);
      return ended;
    },
    close,
  };
}
