// The world of a database failover: the real server as a process, its Redis, people with credits, and a load on it all.
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

/** Starts the server on `databaseUrl` (its database is created), signs people in, gives them credits, and begins the load. */
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
      /** Sentences about the process: it is to live, as the same one, and to have met nothing it did not expect. */
      complaints() {
        const { child } = server;
        const lives = child.exitCode === null && child.signalCode === null && child.pid === pid;
        // What main.ts writes when an error reached nobody.
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

/** The packet of a COMMIT; its length would stand before it. */
const COMMIT = "\u0003COMMIT";

/**
 * Acts in the middle of the load's next transaction: when its COMMIT reaches the proxy, `before` or `after` it is passed
 * on. Rejects when nobody commits.
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

/** Signs people in at the server of `url`, whose ADMIN_EMAILS has to name `admin@example.com`, and gives them credits. */
export async function signInWithCredits(url: string): Promise<SignedIn[]> {
  // A name the sandbox's redirect address fits.
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
