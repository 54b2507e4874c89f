// Where the HTTP rows are measured: the compiled program, what it is compared with, its callers, each a process of its own.
import { buildServer } from "./built.ts";
import { type Child, type RunningServer, startChild, startServer } from "./child.ts";
import { type Metered, meterListener, meterProcess } from "./cpu.ts";
import { creditsLeft, ownRedis, productionEnv, signedInUsers } from "./production.ts";
import type { PortAnswer } from "./serve.ts";
import { createPlace } from "./world.ts";

/** A server that is called. */
export interface Target {
  readonly port: number;
  readonly process: Metered;
}

/** Everything a measurement over HTTP needs. */
export interface HttpStage {
  /** Asks in the name of `tokens`; takes a LoadOrder. */
  readonly callers: Child;
  /** Null where they are not on this machine; the database is also null where it is part of the server. */
  readonly database: Metered | null;
  readonly redis: Metered | null;
  readonly usesMysql: boolean;
  readonly usesRedis: boolean;
  /** The program itself. */
  startServer(
    env?: Readonly<Record<string, string>>,
  ): Promise<Target & Pick<RunningServer, "pid" | "stop">>;
  /** A compiled file of tests/bench that listens. */
  startStack(name: string, env?: Readonly<Record<string, string>>): Promise<Target>;
  /** Access tokens of so many new users. */
  signIn(count: number): Promise<string[]>;
  /** All users' credits together. */
  credits(): Promise<number>;
  close(): Promise<void>;
}

/** Compiles the program and opens a stage; null where there is no database. */
export async function openHttpStage(): Promise<HttpStage | null> {
  const place = (await createPlace("mysql")) ?? (await createPlace("sqlite"));
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
    const usesMysql = !place.databaseUrl.startsWith("file:");
    return {
      callers: start("http-load"),
      database: usesMysql ? meterListener(place.databaseUrl) : null,
      redis: redis === null ? null : meterListener(redis.url),
      usesMysql,
      usesRedis: redis !== null,
      async startServer(more = {}) {
        const server = await startServer(built.file("server/main"), { ...env, ...more });
        closers.push(server.stop);
        return { ...server, process: meterProcess(server.pid) };
      },
      async startStack(name, more) {
        const { port, pid } = await start(name, more).ask<PortAnswer>(null);
        return { port, process: meterProcess(pid) };
      },
      signIn: (count) => signedInUsers(place, env["JWT_SECRET"] ?? "", count),
      credits: () => creditsLeft(place),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
