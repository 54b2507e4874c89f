// A TCP proxy on loopback that can fall silent, cut connections, move to another server, or act at a given moment of the conversation.
import { connect, createServer, type Socket } from "node:net";
import { listen } from "./ports.ts";

/** A proxy in front of one server. */
export interface TcpProxy {
  readonly port: number;
  /** Forwards nothing any more, in either direction, new connections included; nobody is told. */
  silence(): void;
  /** Cuts every connection and refuses new ones. */
  refuse(): void;
  /** Forwards again; connections that fell silent stay so and are cut. */
  restore(): void;
  /** Cuts the connection on which the client next sends `bytes`: `before` or `after` the server got them. */
  cutOn(bytes: string, when: "before" | "after"): void;
  /** Calls `react` when a client next sends `bytes`: `before` or `after` they are passed on. The conversation goes on. */
  onceSent(bytes: string, when: "before" | "after", react: () => void): void;
  /** Cuts every connection; new ones go to `port`. */
  moveTo(port: number): void;
  close(): Promise<void>;
}

interface Awaited {
  readonly bytes: string;
  readonly when: "before" | "after";
  react(upstream: Socket, destroy: () => void): void;
}

/** Starts a proxy to `host:port`. */
export async function startTcpProxy(host: string, port: number): Promise<TcpProxy> {
  const pairs = new Set<[Socket, Socket]>();
  let mode: "forward" | "silent" | "refuse" = "forward";
  let target = port;
  let awaited: Awaited | undefined;

  const server = createServer((client) => {
    if (mode === "refuse") return void client.destroy();
    const upstream = connect(target, host);
    const pair: [Socket, Socket] = [client, upstream];
    pairs.add(pair);
    const destroy = () => {
      pairs.delete(pair);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of pair) socket.on("error", destroy).on("close", destroy);
    client.on("data", (data) => {
      if (mode === "silent") return;
      const seen = awaited !== undefined && data.includes(awaited.bytes) ? awaited : undefined;
      if (seen !== undefined) awaited = undefined;
      if (seen?.when === "before") seen.react(upstream, destroy);
      if (!upstream.destroyed) upstream.write(data);
      if (seen?.when === "after") seen.react(upstream, destroy);
    });
    upstream.on("data", (data) => {
      if (mode !== "silent") client.write(data);
    });
  });
  const ownPort = await listen(server);
  const cutAll = () => {
    for (const [client, upstream] of pairs) {
      client.destroy();
      upstream.destroy();
    }
    pairs.clear();
  };
  return {
    port: ownPort,
    silence() {
      mode = "silent";
    },
    refuse() {
      mode = "refuse";
      cutAll();
    },
    restore() {
      if (mode === "silent") cutAll();
      mode = "forward";
    },
    cutOn(bytes, when) {
      const react: Awaited["react"] = (upstream, destroy) => {
        if (when === "before") return destroy();
        // The server acts on it; its answer never arrives.
        upstream.removeAllListeners("data");
        setTimeout(destroy, 100);
      };
      awaited = { bytes, when, react };
    },
    onceSent(bytes, when, react) {
      awaited = { bytes, when, react };
    },
    moveTo(next) {
      target = next;
      cutAll();
    },
    async close() {
      cutAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
