// Starts and stops the server: environment -> config -> back end -> app -> listen -> drain. The only file with side
// effects. With WORKERS=n it runs n + 1 times: in the parent, and in each worker.
import { type App, createApp } from "./app.ts";
import { superviseWorkers } from "./cluster/parent.ts";
import { openWorkerLink, type WorkerLink } from "./cluster/worker-link.ts";
import { type Backend, openBackend } from "./infrastructure.ts";
import type { Config } from "./config/config.ts";
import { ConfigError, parseConfig } from "./config/parse-config.ts";
import {
  DATA_DIRECTORY,
  type Environment,
  loadEnvironment,
  withDevelopmentSecrets,
} from "./config/environment.ts";
import { connectionShare, createHttpServer, type HttpServer } from "./http/server.ts";
import { createLogger, type Logger } from "./lib/logger.ts";
import { stopInOrder } from "./stop.ts";
import type { OpenTracer } from "./telemetry/otel.ts";

/**
 * How long to wait for the database: a booting machine or a failover is no reason to give up. Longer than the lifetime
 * below which a worker's exit counts as an early crash (cluster/restarts.ts); otherwise an outage would end the healthy
 * workers too.
 */
const DATABASE_WAIT_MS = 60_000;

const nothing = () => Promise.resolve();

/** Writes the message to stderr and exits with code 1. */
function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

/** In development, generates the missing secrets and starts the sandbox if Google or Stripe is unset. */
async function completeForDevelopment(given: Environment): Promise<{
  environment: Environment;
  close: () => Promise<void>;
}> {
  if (given["NODE_ENV"] === "production") return { environment: given, close: nothing };
  const environment = withDevelopmentSecrets(given);
  const config = parseConfig(environment);
  const hasVendors = config.google.clientId !== "" && config.stripe.secretKey !== "";
  // A test configures the model it wants; development gets the stand-in.
  if (hasVendors && (config.ai !== null || config.environment === "test"))
    return { environment, close: nothing };
  if (hasVendors) return withStandInModel(environment, config.port);
  // Loaded only here: production has no development dependencies.
  const { startSandbox } = await import("./sandbox/src/sandbox.ts");
  const sandbox = await startSandbox({
    webhookUrl: `http://localhost:${config.port}/api/payment/webhook`,
    redirectUris: [config.google.callbackUrl],
    // The issuer's address is part of a user's identity, so it must survive a restart.
    googlePort: config.port === 0 ? 0 : config.port + 1,
    stripePort: config.port === 0 ? 0 : config.port + 2,
    modelPort: config.port === 0 ? 0 : config.port + 3,
    dataDir: `${DATA_DIRECTORY}/sandbox`,
  });
  return { environment: { ...chosen(sandbox.env, config), ...environment }, close: sandbox.close };
}

/** Starts only the stand-in model, for a server that has the real Google and Stripe. */
async function withStandInModel(environment: Environment, port: number) {
  const { startModelSandbox } = await import("./sandbox/src/model/server.ts");
  const model = await startModelSandbox({ port: port === 0 ? 0 : port + 3 });
  const ai = {
    AI_BASE_URL: model.url,
    AI_MODEL_FLASH: model.models.flash,
    AI_MODEL_PRO: model.models.pro,
  };
  return { environment: { ...ai, ...environment }, close: model.close };
}

/** Returns the sandbox's variables of those vendors that are not configured. */
function chosen(sandbox: Environment, config: Config): Environment {
  const prefixes = [
    ...(config.google.clientId === "" ? ["GOOGLE_"] : []),
    ...(config.stripe.secretKey === "" ? ["STRIPE_"] : []),
    ...(config.ai === null ? ["AI_"] : []),
  ];
  return Object.fromEntries(
    Object.entries(sandbox).filter(([name]) => prefixes.some((prefix) => name.startsWith(prefix))),
  );
}

function explainListenError(error: unknown, config: Pick<Config, "host" | "port">): string {
  const code = error instanceof Error && "code" in error ? error.code : "";
  if (code === "EADDRINUSE")
    return `Port ${config.port} is taken: another server runs there (this one, started twice?). Stop it, or set PORT to a free port.`;
  if (code === "EACCES")
    return `Port ${config.port} needs more rights than this process has. Set PORT to 1024 or above.`;
  if (code === "EADDRNOTAVAIL")
    return `HOST=${config.host} is no address of this machine. Use 0.0.0.0 for all, or 127.0.0.1 for this machine only.`;
  return error instanceof Error ? error.message : String(error);
}

/** Everything that runs and has to be stopped. */
interface Running {
  readonly config: Config;
  readonly logger: Logger;
  readonly server: HttpServer;
  readonly app: App;
  readonly backend: Backend;
  readonly closeSandbox: () => Promise<void>;
  /** Null = this process is not a worker. */
  readonly link: WorkerLink | null;
  /** Null = nothing is traced. */
  readonly tracer: OpenTracer | null;
}

async function main(): Promise<void> {
  const link = openWorkerLink();
  const given = loadEnvironment();
  // A worker's environment was completed by its parent.
  const { environment, close: closeSandbox } =
    link === null ? await completeForDevelopment(given) : { environment: given, close: nothing };
  const config = parseConfig(environment);
  const tracer = await openTracing(config, {
    isParent: config.workers > 1 && link === null,
    onExportError: (reason) => logger.warn({ reason }, "traces do not reach the collector"),
  });
  const logger = createLogger({
    level: config.logLevel,
    batched: config.environment === "production",
    secrets: config.secrets,
    ...(tracer === null ? {} : { traceId: () => tracer.current()?.traceId }),
  });
  if (link === null) for (const warning of config.warnings) logger.warn(warning);
  if (config.workers > 1 && link === null)
    return runParent({ config, logger, environment, closeSandbox });
  return serve({ config, logger, closeSandbox, link, tracer });
}

/** Returns null, without loading OpenTelemetry, if no collector is configured or this is the parent. */
async function openTracing(
  { tracing }: Config,
  { isParent, onExportError }: { isParent: boolean; onExportError: (reason: string) => void },
): Promise<OpenTracer | null> {
  if (tracing === null || isParent) return null;
  const { openTracer } = await import("./telemetry/otel.ts");
  return openTracer({ tracing, onExportError });
}

/** Runs the workers, and exits when they have stopped. */
function runParent(deps: {
  readonly config: Config;
  readonly logger: Logger;
  readonly environment: Environment;
  readonly closeSandbox: () => Promise<void>;
}): void {
  const { config, logger, environment, closeSandbox } = deps;
  const parent = superviseWorkers({
    workers: config.workers,
    environment,
    logger,
    shutdownDelayMs: config.shutdownDelayMs,
    end: (exitCode) => {
      void closeSandbox().finally(() => {
        if (exitCode === 0) logger.info("stopped");
        process.exit(exitCode);
      });
    },
  });
  process.on("SIGTERM", () => parent.stop("SIGTERM"));
  process.on("SIGINT", () => parent.stop("SIGINT"));
  stopOnUncaughtErrors(logger);
}

async function serve(given: Omit<Running, "server" | "app" | "backend">): Promise<void> {
  const { config, logger, link, tracer } = given;
  // In development, a person is watching and wants the error immediately.
  const databaseWaitMs = config.environment === "production" ? DATABASE_WAIT_MS : 0;
  const backend = await openBackend({ config, logger, databaseWaitMs });
  const workers = link === null ? {} : { workers: link };
  const app = createApp({ config, backend, logger, tracer, ...workers });
  const server = createHttpServer(app.handle, {
    trustProxy: config.trustProxy,
    commonHeaders: app.commonHeaders,
    connections: connectionShare(link === null ? 1 : config.workers),
  });
  const running: Running = { ...given, server, app, backend };
  const port = await listen(running);
  app.jobs.start();
  void app.services.auth.checkIdentityProvider();
  logger.info(
    { port, database: config.database.kind, redis: config.redis?.kind ?? null },
    "listening",
  );
  stopOnSignals(running);
  stopOnUncaughtErrors(logger);
}

/** Returns the port. If the server cannot listen, closes everything and exits with an explanation. */
async function listen({ config, server, app, backend, closeSandbox }: Running): Promise<number> {
  try {
    return await server.listen(config.port, config.host);
  } catch (error) {
    await app.close();
    await backend.close();
    await closeSandbox();
    return fail(explainListenError(error, config));
  }
}

/** Stops on the first SIGTERM or SIGINT. A worker asks its parent, which may have received the same signal. */
function stopOnSignals(running: Running): void {
  const { logger, link } = running;
  let stopping = false;
  const begin = (signal: string): void => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, "stopping");
    stop(running).catch((error: unknown) => {
      logger.error({ err: error }, "the stop failed");
      process.exit(1);
    });
  };
  link?.onStop(() => begin("from the parent"));
  for (const signal of ["SIGTERM", "SIGINT"])
    process.on(signal, () => (link === null ? begin(signal) : link.askToStop()));
}

function stop({ config, backend, closeSandbox, link, tracer, ...parts }: Running): Promise<void> {
  return stopInOrder({
    ...parts,
    shutdownDelayMs: config.shutdownDelayMs,
    meet: link?.meet,
    async closeRest() {
      await backend.close();
      await tracer?.close();
      await closeSandbox();
    },
    end: (exitCode) => process.exit(exitCode),
  });
}

/**
 * An unhandled rejection is a local mistake and no reason to drop all requests in flight, so it is only logged. So is a
 * connection error that a driver throws outside any call. Any other uncaught error leaves the state unknown, so the
 * process exits, to be restarted.
 */
function stopOnUncaughtErrors(logger: Logger): void {
  process.on("unhandledRejection", (error) => {
    logger.error({ err: error }, "unhandled rejection");
  });
  process.on("uncaughtException", (error: NodeJS.ErrnoException) => {
    if (["ECONNRESET", "EPIPE", "ETIMEDOUT", "ECONNREFUSED"].includes(error.code ?? "")) {
      logger.error({ err: error }, "connection error outside any call");
      return;
    }
    logger.fatal({ err: error }, "uncaught error");
    process.exit(1);
  });
}

main().catch((error: unknown) => {
  if (error instanceof ConfigError) fail(error.message);
  // A plain Error carries a sentence for the operator; any other kind is a bug, and its stack helps.
  if (error instanceof Error && error.constructor !== Error) fail(error.stack ?? error.message);
  fail(error instanceof Error ? error.message : String(error));
});
