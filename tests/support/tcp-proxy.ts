// A TCP proxy on loopback that can go silent, cut connections, switch servers, or act at a point of the conversation.
import { connect, createServer, type Socket } from "node:net";
import { listen } from "./ports.ts";

/** A proxy in front of one server. */
export type TcpProxy = Awaited<ReturnType<typeof startTcpProxy>>;

type When = "before" | "after";

interface Expected {
  readonly bytes: string;
  readonly when: When;
  react(upstream: Socket, destroy: () => void): void;
}

/** Starts a proxy in front of `host:port`. */
export async function startTcpProxy(host: string, port: number) {
  const pairs = new Set<[Socket, Socket]>();
  const forgotten = new WeakSet<Socket>();
  let mode: "forward" | "silent" | "refuse" = "forward";
  let target = port;
  let isHeld = false;
  let expected: Expected | undefined;

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
      if (mode === "silent" || forgotten.has(client)) return;
      const seen = expected !== undefined && data.includes(expected.bytes) ? expected : undefined;
      if (seen !== undefined) expected = undefined;
      if (seen?.when === "before") seen.react(upstream, destroy);
      if (!upstream.destroyed) upstream.write(data);
      if (seen?.when === "after") seen.react(upstream, destroy);
    });
    upstream.on("data", (data) => {
      if (mode !== "silent" && !forgotten.has(client)) client.write(data);
    });
    if (isHeld) upstream.pause();
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
    /** Stops forwarding in both directions, on new connections too, without closing anything. */
    silence() {
      mode = "silent";
    },
    /** Stops forwarding on the existing connections without closing them; new ones work. */
    forgetOpen() {
      for (const [client] of pairs) forgotten.add(client);
    },
    /** Holds back what the server sends, on new connections too, until `letGo`; then all of it arrives. */
    hold() {
      isHeld = true;
      for (const [, upstream] of pairs) upstream.pause();
    },
    letGo() {
      isHeld = false;
      for (const [, upstream] of pairs) upstream.resume();
    },
    /** Cuts every connection and refuses new ones. */
    refuse() {
      mode = "refuse";
      cutAll();
    },
    /** Forwards again; connections that had gone silent are cut. */
    restore() {
      if (mode === "silent") cutAll();
      mode = "forward";
    },
    /** Cuts the connection on which a client next sends `bytes`, `before` or `after` the server has received them. */
    cutOn(bytes: string, when: When) {
      const react: Expected["react"] = (upstream, destroy) => {
        if (when === "before") return destroy();
        // The server acts on them, but its answer never arrives.
        upstream.removeAllListeners("data");
        setTimeout(destroy, 100);
      };
      expected = { bytes, when, react };
    },
    /** Calls `react` when a client next sends `bytes`, `before` or `after` they are forwarded; nothing is cut. */
    onceSent(bytes: string, when: When, react: () => void) {
      expected = { bytes, when, react };
    },
    /** Sends new connections to port `next`; existing ones are kept. */
    routeNewConnectionsTo(next: number) {
      target = next;
    },
    /** Cuts every connection and sends new ones to port `next`. */
    moveTo(next: number) {
      target = next;
      cutAll();
    },
    async close() {
      cutAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
