// Owns starting and stopping: the only file with side effects. env -> config -> back end -> app -> listen -> drain.
import { setTimeout as delay } from "node:timers/promises";
import { createApp } from "./app.ts";
import { openBackend } from "./infrastructure.ts";
import { type Config, ConfigError, parseConfig } from "./config/config.ts";
import { loadDevelopmentSecrets } from "./config/dev-secrets.ts";
import { secretsOf } from "./config/secrets-of.ts";
import { createHttpServer } from "./http/server.ts";
import { createLogger, type Logger } from "./lib/logger.ts";

/** A stop that takes longer is cut: the promise is 10 s. */
const STOP_LIMIT_MS = 9_500;

type Environment = Record<string, string | undefined>;

/** Says it to whoever started us and ends. */
function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

function readEnvironment(): Environment {
  try {
    process.loadEnvFile(".env");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
  const given = Object.entries(process.env).filter(([, value]) => value !== "");
  return Object.fromEntries(given);
}

/** Development makes the secrets it lacks, and starts the sandbox where Google or Stripe are unset. */
async function completeForDevelopment(given: Environment): Promise<{
  environment: Environment;
  close: () => Promise<void>;
}> {
  const nothing = () => Promise.resolve();
  if (given["NODE_ENV"] === "production") return { environment: given, close: nothing };
  const needsSecrets =
    given["JWT_SECRET"] === undefined || given["REFRESH_TOKEN_SECRET"] === undefined;
  const secrets = needsSecrets ? loadDevelopmentSecrets(".data") : {};
  const environment = { ...secrets, ...given };
  const config = parseConfig(environment);
  const isComplete =
    config.google.clientId !== "" && config.stripe.secretKey !== "" && config.ai !== null;
  if (isComplete) return { environment, close: nothing };
  // Loaded only here: production has no development dependencies.
  const { startSandbox } = await import("./sandbox/src/sandbox.ts");
  const sandbox = await startSandbox({
    webhookUrl: `http://localhost:${config.port}/api/payment/webhook`,
    redirectUris: [config.google.callbackUrl],
    // The issuer's address is part of who somebody is, so it must survive a restart.
    googlePort: config.port === 0 ? 0 : config.port + 1,
    stripePort: config.port === 0 ? 0 : config.port + 2,
    modelPort: config.port === 0 ? 0 : config.port + 3,
    dataDir: ".data/sandbox",
  });
  return { environment: { ...environment, ...chosen(sandbox.env, config) }, close: sandbox.close };
}

/** Only what is unset comes from the sandbox. */
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

async function main(): Promise<void> {
  const { environment, close: closeSandbox } = await completeForDevelopment(readEnvironment());
  const config = parseConfig(environment);
  const logger = createLogger({
    level: config.logLevel,
    batched: config.environment === "production",
    secrets: secretsOf(config),
  });
  for (const warning of config.warnings) logger.warn(warning);
  const backend = await openBackend({ config, logger });
  const app = createApp({ config, backend, logger });
  const server = createHttpServer(app.handle, {
    trustProxy: config.trustProxy,
    commonHeaders: app.commonHeaders,
  });
  let port: number;
  try {
    port = await server.listen(config.port, config.host);
  } catch (error) {
    await app.close();
    await backend.close();
    await closeSandbox();
    fail(explainListenError(error, config));
  }
  app.jobs.start();
  void app.services.auth.checkIdentityProvider();
  logger.info(
    { port, database: config.database.kind, redis: config.redis?.kind ?? null },
    "listening",
  );

  let stopping = false;
  const stop = async (signal: string): Promise<void> => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, "stopping");
    setTimeout(() => {
      logger.error("the stop took too long; what is left is cut off");
      process.exit(1);
    }, STOP_LIMIT_MS).unref();
    app.beginShutdown();
    server.beginDrain();
    await delay(config.shutdownDelayMs);
    app.endStreams();
    await server.stop();
    await app.close();
    await backend.close();
    await closeSandbox();
    logger.info("stopped");
    process.exit(0);
  };
  const stopOn = (signal: string) => {
    stop(signal).catch((error: unknown) => {
      logger.error({ err: error }, "the stop failed");
      process.exit(1);
    });
  };
  process.on("SIGTERM", () => stopOn("SIGTERM"));
  process.on("SIGINT", () => stopOn("SIGINT"));
  watchForMistakes(logger);
}

/**
 * A rejection nobody waits for is a mistake in one place and no reason to drop everybody's requests: it is logged. So is a
 * connection error that a driver throws outside any call. Any other uncaught error leaves unknown state behind: the
 * process ends, to be started anew.
 */
function watchForMistakes(logger: Logger): void {
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
  // A plain Error carries a sentence for the operator; any other kind is a mistake of ours, and its place helps.
  if (error instanceof Error && error.constructor !== Error) fail(error.stack ?? error.message);
  fail(error instanceof Error ? error.message : String(error));
});
