// Opens the server's parts for a command: environment -> config -> back end -> app, run one thing, close.
import type { App } from "../../app.ts";
import { type Backend, openBackend } from "../../infrastructure.ts";
import type { Config } from "../../config/config.ts";
import { ConfigError, parseConfig } from "../../config/parse-config.ts";
import {
  type Environment,
  loadEnvironment,
  withDevelopmentSecrets,
} from "../../config/environment.ts";
import { isAppError } from "../../lib/errors.ts";
import { createLogger, type Logger } from "../../lib/logger.ts";
import { explainRefusal } from "../../payment/stripe/advice.ts";
import { refusalOf } from "../../payment/stripe/errors.ts";

/** In development, fills in what is unset: the stored secrets, and the sandbox that `npm run dev` is running. */
async function completeForDevelopment(given: Environment): Promise<Environment> {
  if (given["NODE_ENV"] === "production") return given;
  const environment = withDevelopmentSecrets(given);
  if (given["STRIPE_SECRET_KEY"] !== undefined) return environment;
  // Loaded only here: production has no development dependencies.
  const { SANDBOX_DEFAULTS } = await import("../../sandbox/src/sandbox.ts");
  const { port } = parseConfig(environment);
  return {
    ...environment,
    STRIPE_SECRET_KEY: SANDBOX_DEFAULTS.secretKey,
    STRIPE_WEBHOOK_SECRET: SANDBOX_DEFAULTS.webhookSecret,
    STRIPE_API_BASE: `http://127.0.0.1:${port + 2}`,
  };
}

/** Runs `work` on a whole app without a socket; otherwise like `runOnBackend`. */
export function runCommand(work: (app: App) => Promise<boolean>): Promise<void> {
  return runOnBackend(async (backend, { config, logger }) => {
    const { createApp } = await import("../../app.ts");
    const app = createApp({ config, backend, logger });
    try {
      return await work(app);
    } finally {
      await app.close();
    }
  });
}

/**
 * Runs `work` on the back end alone, without loading the rest of the program, and ends the process: exit code 0 when it
 * resolves to true, 1 when false or failed. Every problem of the environment is reported, and a missing database that
 * was named is not created.
 */
export async function runOnBackend(
  work: (backend: Backend, parts: { config: Config; logger: Logger }) => Promise<boolean>,
): Promise<void> {
  try {
    const given = loadEnvironment();
    const config = parseConfig(await completeForDevelopment(given));
    const logger = createLogger({
      level: given["LOG_LEVEL"] ?? "fatal",
      secrets: config.secrets,
    });
    if (given["DATABASE_URL"] === undefined)
      process.stderr.write(`DATABASE_URL is unset: this is about ${config.database.url}.\n`);
    // A named database that is missing means a wrong path, or a disk that is not mounted.
    const mayCreate = given["DATABASE_URL"] === undefined;
    const backend = await openBackend({ config, logger, mayCreate });
    try {
      process.exitCode = (await work(backend, { config, logger })) ? 0 : 1;
    } finally {
      await backend.close();
    }
  } catch (error) {
    const isPlain =
      error instanceof ConfigError || isAppError(error) || error?.constructor === Error;
    const text = error instanceof Error ? (isPlain ? error.message : error.stack) : String(error);
    // An operator may see what Stripe said (a wrong key, say); a caller of the API may not.
    const refusal = refusalOf(error);
    process.stderr.write(`${refusal === null ? (text ?? "failed") : explainRefusal(refusal)}\n`);
    process.exitCode = 1;
  }
  // Keep-alive connections to Stripe would keep the process alive for a minute.
  process.exit();
}
