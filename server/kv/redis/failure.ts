// How a Redis failure is reported: the address and one sentence, without a stack that points into ioredis.
import type { RedisConfig } from "../../config/config.ts";

/** Where Redis is expected, without credentials. */
export function addressOf(config: RedisConfig): string {
  const list = (endpoints: readonly { host: string; port: number }[]) =>
    endpoints.map(({ host, port }) => `${host}:${port}`).join(",");
  switch (config.kind) {
    case "single":
      return `${config.host}:${config.port}`;
    case "sentinel":
      return `${config.name} at ${list(config.sentinels)}`;
    case "cluster":
      return list(config.nodes);
  }
}

/**
 * Returns the reason in words. A connection refused at several addresses has only a code; a cluster's failure has its
 * reason in a node's error.
 */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const node = "lastNodeError" in error ? error.lastNodeError : undefined;
  if (node instanceof Error) return `${error.message} ${reasonOf(node)}`;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return error.message === "" ? code || error.name : error.message;
}
