// What stands between an application and a Galera cluster in production (HAProxy, MaxScale): one address, which leads to one
// healthy node at a time and moves, connections and all, when that node is healthy no longer.
import { setTimeout as sleep } from "node:timers/promises";
import type { GaleraCluster, GaleraNode } from "./galera-cluster.ts";
import { startTcpProxy } from "./tcp-proxy.ts";

const CHECK_EVERY_MS = 200;
/** A check that takes longer has failed: a node cut off from the others may not answer at all. */
const CHECK_WITHIN_MS = 1_000;

/** The one address. */
export type GaleraProxy = Awaited<ReturnType<typeof startGaleraProxy>>;

/** Starts in front of the first node. Moves on only: a node that comes back is not moved back to. */
export async function startGaleraProxy(cluster: GaleraCluster) {
  const [first] = cluster.nodes;
  if (first === undefined) throw new Error("A cluster has nodes.");
  let node = first;
  let movedAtMs = Date.now();
  const proxy = await startTcpProxy("127.0.0.1", node.port);
  const stopping = new AbortController();

  async function follow(): Promise<void> {
    while (!stopping.signal.aborted) {
      if (!(await healthyInTime(node))) {
        const others = cluster.nodes.filter((other) => other !== node);
        const health = await Promise.all(others.map(healthyInTime));
        const next = others.find((_, index) => health[index]);
        if (next !== undefined) {
          node = next;
          movedAtMs = Date.now();
          proxy.moveTo(next.port);
        }
      }
      await sleep(CHECK_EVERY_MS);
    }
  }

  const following = follow();
  return {
    port: proxy.port,
    /** Where it leads now. */
    get node() {
      return node;
    },
    /** When it last moved, as Date.now() tells it. */
    get movedAtMs() {
      return movedAtMs;
    },
    /** The conversation between application and node. */
    conversation: proxy,
    async close() {
      stopping.abort();
      await following;
      await proxy.close();
    },
  };
}

function healthyInTime(node: GaleraNode): Promise<boolean> {
  return Promise.race([node.isHealthy(), sleep(CHECK_WITHIN_MS, false)]);
}
