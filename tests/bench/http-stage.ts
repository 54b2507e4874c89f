// Where the HTTP rows are measured: the compiled program, what it is compared with, and its callers, each a process.
import { buildServer } from "./built.ts";
import { START_FLAGS, startChild, startServer } from "./child.ts";
import { type Metered, meterListener, meterProcess } from "./cpu.ts";
import { creditsLeft, ownRedis, productionEnv, signedInUsers } from "./production.ts";
import type { LoadAnswer, LoadOrder, LoadRequest } from "./http-load.process.ts";
import type { PortAnswer } from "./serve.ts";
import { createBenchEnvironment } from "./world.ts";

/** A POST of `body`. */
export const post = (path: string, body: object): LoadRequest => ({
  method: "POST",
  path,
  body: JSON.stringify(body),
});
export const SPEND = post("/api/trpc/credit.spend", {
  feature: "chat-flash",
  idempotencyKey: "KEY",
});

/** A server that is called. */
export interface Target {
  readonly port: number;
  readonly process: Metered;
}

/** Everything an HTTP measurement needs. */
export type HttpStage = NonNullable<Awaited<ReturnType<typeof openHttpStage>>>;

/** Compiles the program and opens a stage; resolves with null if no database is available. */
export async function openHttpStage() {
  const place = (await createBenchEnvironment("mysql")) ?? (await createBenchEnvironment("sqlite"));
  if (place === null) return null;
  const closers: (() => Promise<void>)[] = [place.drop];
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    const redis = place.redisUrl === null ? null : await ownRedis(place.redisUrl);
    if (redis !== null) closers.push(redis.drop);
    const built = buildServer();
    closers.push(async () => built.drop());
    const env = productionEnv({ ...place, redisUrl: redis?.url ?? null });
    const start = (name: string, more: Readonly<Record<string, string>> = {}) => {
      const child = startChild(built.file(`tests/bench/${name}.process`), { ...env, ...more });
      closers.push(child.stop);
      return child;
    };
    const callers = start("http-load");
    const usesMysql = !place.databaseUrl.startsWith("file:");
    return {
      /** Takes a LoadOrder and calls with its `tokens`. */
      callers,
      /** Makes spends with `tokens`. Throws if one is refused. */
      async spends(load: Omit<LoadOrder, "request">) {
        const answer = await callers.ask<LoadAnswer>({ ...load, request: SPEND });
        if (answer.refused > 0) throw new Error(`Refused: ${answer.firstRefusal}`);
        return answer;
      },
      /** Null if it is not on this machine; the database is also null if it is part of the server. */
      database: usesMysql ? meterListener(place.databaseUrl) : null,
      redis: redis === null ? null : meterListener(redis.url),
      usesMysql,
      usesRedis: redis !== null,
      /** The program itself. */
      async startServer(more: Readonly<Record<string, string>> = {}) {
        const main = [...START_FLAGS, built.file("server/main")];
        const server = await startServer(main, { ...env, ...more });
        closers.push(server.stop);
        return { ...server, process: meterProcess(server.pid) };
      },
      /** Starts a compiled file of tests/bench that listens. */
      async startStack(name: string, more?: Readonly<Record<string, string>>): Promise<Target> {
        const { port, pid } = await start(name, more).ask<PortAnswer>(null);
        return { port, process: meterProcess(pid) };
      },
      /** Returns the access tokens of that many new users. */
      signIn: (count: number) => signedInUsers(place, env["JWT_SECRET"] ?? "", count),
      /** Returns the sum of all users' credits. */
      credits: () => creditsLeft(place),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
