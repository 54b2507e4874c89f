// A whole development server inside this process, on a free port with its own stand-ins, for the demo in examples/demo.
import { createApp } from "../../app.ts";
import type { Config } from "../../config/config.ts";
import { parseConfig } from "../../config/parse-config.ts";
import { createHttpServer } from "../../http/server.ts";
import { type Backend, openBackend } from "../../infrastructure.ts";
import { auditWholeLedger } from "../../ledger/audit/audit.ts";
import { createLogger } from "../../lib/logger.ts";
import { type Sandbox, startSandbox } from "../../sandbox/src/sandbox.ts";

/** What to start it with. */
export interface EmbeddedOptions {
  /** Like `process.env`; settings of Google, Stripe and the model that are unset come from the stand-ins. */
  readonly environment: Readonly<Record<string, string>>;
  /** Keeps its Redis keys apart from those of others. */
  readonly keyPrefix: string;
  /** Receives the server's errors, one line of JSON each. */
  onLog(line: string): void;
}

/** A running server. */
export interface EmbeddedServer {
  readonly url: string;
  readonly config: Config;
  readonly database: Backend["database"];
  readonly sandbox: Sandbox;
  /** Audits the whole database, as `npm run doctor` does. Resolves with the violations and the number of users. */
  audit(): Promise<{ violations: Awaited<ReturnType<typeof auditWholeLedger>>; users: number }>;
  close(): Promise<void>;
}

type Closers = (() => void | Promise<void>)[];

async function closeAll(closers: Closers): Promise<void> {
  for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await closer();
}

/** Starts the server. If a part cannot be opened, closes those already open. Throws ConfigError. */
export async function openEmbeddedServer(options: EmbeddedOptions): Promise<EmbeddedServer> {
  const closers: Closers = [];
  try {
    return await open(closers, options);
  } catch (error) {
    await closeAll(closers);
    throw error;
  }
}

async function open(closers: Closers, options: EmbeddedOptions): Promise<EmbeddedServer> {
  // The socket comes first: the sandbox needs the server's address, and the server needs the sandbox's.
  const handler: { current?: ReturnType<typeof createApp>["handle"] } = {};
  const http = createHttpServer((request, response) => handler.current?.(request, response));
  const url = `http://localhost:${await http.listen(0, "127.0.0.1")}`;
  closers.push(() => http.stop());
  const sandbox = await startSandbox({
    webhookUrl: `${url}/api/payment/webhook`,
    redirectUris: [`${url}/api/auth/google/callback`],
  });
  closers.push(() => sandbox.close());

  const config = parseConfig({
    NODE_ENV: "development",
    PORT: new URL(url).port,
    ...sandbox.env,
    ...options.environment,
  });
  const logger = createLogger({ level: "error", destination: { write: options.onLog } });
  const backend = await openBackend({ config, logger, keyPrefix: options.keyPrefix });
  closers.push(() => backend.close());
  const { redis } = await backend.check();
  if (config.redis !== null && redis.status !== "up")
    throw new Error(`${redis.detail ?? "Redis is unavailable."} Start it, or leave REDIS_* unset.`);
  // Its jobs are not started: on an existing database, they would ask this sandbox for payments it does not know.
  const app = createApp({ config, backend, logger });
  closers.push(() => app.close());
  handler.current = app.handle;
  closers.push(() => {
    app.beginShutdown();
    app.endStreams();
  });
  const { database } = backend;
  return {
    url,
    config,
    database,
    sandbox,
    audit: () => audit(database),
    close: () => closeAll(closers),
  };
}

async function audit(database: Backend["database"]) {
  let users = 0;
  const violations = await auditWholeLedger({
    database,
    onProgress: (progress) => {
      users = progress.totalUsers;
    },
  });
  return { violations, users };
}
