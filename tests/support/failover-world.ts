// The setup of a failover test: the real server as a process, its Redis, users with credits, and a load on it.
import { startFailoverLoad } from "./failover-load.ts";
import { freePort } from "./ports.ts";
import { spawnServer, startStandIns } from "./process.ts";
import { redisServerInstalled, startRedisServer } from "./redis-server.ts";
import { type SignedIn, signIn } from "./server.ts";
import type { TcpProxy } from "./tcp-proxy.ts";
import { serverEnv } from "./server-env.ts";

const ADMIN = "admin@example.com";
const USERS = 6;
const CREDITS_EACH = 1_000_000;

/** A server under load. */
export type FailoverWorld = Awaited<ReturnType<typeof openFailoverWorld>>;

/** Starts the server on `databaseUrl` (creating its database), signs users in, gives them credits, starts the load. */
export async function openFailoverWorld(databaseUrl: string) {
  const closing: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const end of closing.reverse()) await end();
  };
  try {
    const { sandbox, env } = await startStandIns(await freePort());
    closing.push(() => sandbox.close());
    const redis = redisServerInstalled ? await startRedisServer() : null;
    if (redis !== null) closing.push(() => redis.kill());
    const server = spawnServer(
      serverEnv({
        DATABASE_URL: databaseUrl,
        ...(redis === null ? {} : { REDIS_URL: `redis://127.0.0.1:${redis.port}` }),
        JWT_EXPIRES_IN: "24h",
        ADMIN_EMAILS: ADMIN,
        ...env,
      }),
    );
    closing.push(async () => {
      server.child.kill("SIGKILL");
      await server.exited;
    });
    await server.ready();
    const load = startFailoverLoad(server.url, await signInWithCredits(server.url));
    closing.push(() => load.stop());
    const { pid } = server.child;
    return {
      server,
      load,
      /** Describes what is wrong with the process: it must still be the same one, without unexpected errors. */
      complaints() {
        const { child } = server;
        const lives = child.exitCode === null && child.signalCode === null && child.pid === pid;
        // What main.ts logs for an error that nothing handled.
        const stray = server
          .output()
          .split("\n")
          .filter((line) => /unhandled rejection|uncaught/.test(line));
        return [
          ...(lives ? [] : [`the server has ended:\n${server.output().slice(-2_000)}`]),
          ...stray,
        ];
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The payload of a COMMIT packet (without the length that precedes it). */
const COMMIT = "\u0003COMMIT";

/**
 * Runs `act` in the middle of the load's next transaction: when its COMMIT reaches the proxy, `before` or `after` it is
 * forwarded. Rejects if no transaction commits.
 */
export function atCommit(
  conversation: Pick<TcpProxy, "onceSent">,
  when: "before" | "after",
  act: () => Promise<void>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error("nobody commits")), 5_000);
    conversation.onceSent(COMMIT, when, () => {
      clearTimeout(limit);
      act().then(resolve, reject);
    });
  });
}

/** Signs users in at the server at `url`, whose ADMIN_EMAILS must include admin@example.com, and gives them credits. */
export async function signInWithCredits(url: string): Promise<SignedIn[]> {
  // The host name in the redirect address registered at the sandbox.
  const local = url.replace("127.0.0.1", "localhost");
  const admin = await signIn(local, ADMIN);
  const users: SignedIn[] = [];
  for (let number = 1; number <= USERS; number += 1) {
    const user = await signIn(local, `user-${number}@example.com`);
    await admin.client.admin.adjustCredits.mutate({
      userId: user.userId,
      amount: CREDITS_EACH,
      reason: "Plenty for a failover",
      idempotencyKey: `plenty-${number}`,
    });
    users.push(user);
  }
  return users;
}
