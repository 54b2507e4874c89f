// Owns the sentence that says which back ends a test run covered.
import { Redis } from "ioredis";
import { withMysql } from "./databases.ts";

interface Coverage {
  line: string;
  /** True where a server that was asked for (TEST_*_URL, or any in CI) could not be used. */
  fails: boolean;
}

interface Server {
  name: string;
  variable: "TEST_DATABASE_URL" | "TEST_REDIS_URL";
  usualUrl: string;
  /** Resolves if the server can be used. */
  probe: (url: string) => Promise<void>;
}

const SERVERS: readonly Server[] = [
  {
    name: "MariaDB",
    variable: "TEST_DATABASE_URL",
    usualUrl: "mariadb://root@127.0.0.1:3306/",
    probe: (url) => withMysql(url, "SELECT 1"),
  },
  {
    name: "Redis",
    variable: "TEST_REDIS_URL",
    usualUrl: "redis://127.0.0.1:6379",
    probe: async (url) => {
      const redis = new Redis(url, {
        lazyConnect: true,
        connectTimeout: 2_000,
        retryStrategy: () => null,
      });
      // The event has the reason; the rejection only says that the connection is closed.
      let reason: Error | undefined;
      redis.on("error", (error: Error) => {
        reason = error;
      });
      try {
        await redis.connect();
        await redis.ping();
      } catch (error) {
        throw reason ?? error;
      } finally {
        redis.disconnect();
      }
    },
  },
];

/**
 * Which back ends the suites of this run covered: one line, and whether a missing one is a failure. A server nobody
 * asked for may be absent anywhere; one that is there and cannot be used (a password, say) fails CI alone.
 */
export async function backendCoverage(
  env: Readonly<Record<string, string | undefined>>,
): Promise<Coverage> {
  const covered = ["embedded"];
  const missing: string[] = [];
  let fails = false;
  for (const server of SERVERS) {
    const asked = env[server.variable];
    try {
      await server.probe(asked || server.usualUrl);
      covered.push(server.name);
    } catch (error) {
      const absent = isRefused(error);
      missing.push(`${server.name} (${absent ? "nobody answers there" : firstLine(error)})`);
      if (asked || (env["CI"] && !absent)) fails = true;
    }
  }
  const tail = missing.length === 0 ? "" : `; not covered: ${missing.join(", ")}`;
  return { line: `Back ends covered: ${covered.join(", ")}${tail}`, fails };
}

function isRefused(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ("code" in at && at.code === "ECONNREFUSED") return true;
    if (at.message.includes("ECONNREFUSED")) return true;
  }
  return false;
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}
