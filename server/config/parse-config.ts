// Turns the environment into one frozen Config, or one error that names every problem.
import { FEATURE_TABLE, FEATURES } from "../../shared/src/features.ts";
import { freeze } from "../lib/freeze.ts";
import type { Config, RedisConfig } from "./config.ts";
import { isLoopback } from "./fields.ts";
import { applyRules } from "./rules.ts";
import type { Finding } from "./variable.ts";
import { DEFAULTS, VARIABLE_NAMES, VARIABLES, type Values } from "./variables.ts";

/** Lists every problem of an environment, each with how to fix it. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      `The configuration has ${problems.length === 1 ? "a problem" : `${problems.length} problems`}:\n${problems.map((p) => `  - ${p}`).join("\n")}`,
    );
    this.name = "ConfigError";
    this.problems = problems;
  }
}

/**
 * Returns the whole environment as one frozen Config. Empty values count as unset; unset ones take their defaults.
 * Throws ConfigError with every problem. In development, secrets and sandbox addresses are merged into `environment`
 * beforehand. Outside production `sandbox` is true if Google or Stripe is unset, or is on this machine.
 */
export function parseConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const given = setVariables(environment);
  const production = given["NODE_ENV"] === "production";
  const { parsed, refused } = readValues({ ...DEFAULTS, ...given });
  const findings = [
    ...checkValues(given, production),
    ...applyRules({ given, names: Object.keys(environment), production, parsed }),
  ];
  const isProblem = ({ level }: Finding): boolean =>
    level === "problem" || (level === "weak" && production);
  const problems = [...refused, ...findings.filter(isProblem).map(({ text }) => text)];
  if (problems.length > 0) throw new ConfigError([...new Set(problems)]);
  return freeze({
    ...toConfig(parsed as Values),
    warnings: findings.map(({ text }) => text),
    secrets: findSecrets(given),
  });
}

/** Returns those of our variables that are not blank, trimmed. */
function setVariables(
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const given: Record<string, string> = {};
  for (const name of VARIABLE_NAMES) {
    const value = environment[name]?.trim();
    if (value !== undefined && value !== "") given[name] = value;
  }
  return given;
}

/** Parses each value separately, so that one mistake does not hide another. */
function readValues(texts: Readonly<Record<string, string>>): {
  parsed: Partial<Values>;
  refused: string[];
} {
  const parsed: Record<string, unknown> = {};
  const refused: string[] = [];
  for (const name of VARIABLE_NAMES) {
    const text = name === "GOOGLE_CALLBACK_URL" ? withPort(texts) : texts[name];
    const result = VARIABLES[name].schema.safeParse(text);
    if (result.success) parsed[name] = result.data;
    else refused.push(...result.error.issues.map((issue) => `${name} ${issue.message}`));
  }
  return { parsed, refused };
}

/** Returns the callback's address with our port in it. An invalid PORT is thereby reported once, not twice. */
function withPort({ GOOGLE_CALLBACK_URL: text, PORT: port }: Readonly<Record<string, string>>) {
  const isPort = VARIABLES.PORT.schema.safeParse(port).success;
  return text?.replace("$PORT", isPort && port !== undefined ? port : "0");
}

function checkValues(given: Readonly<Record<string, string>>, production: boolean): Finding[] {
  return VARIABLE_NAMES.flatMap((name) => {
    const { check, howToGet, description } = VARIABLES[name];
    const text = given[name];
    if (text === undefined || check === undefined) return [];
    const findings = check(text, { production, howToGet: howToGet ?? description });
    return findings.map((finding) => ({ ...finding, text: `${name} ${finding.text}` }));
  });
}

function findSecrets(given: Readonly<Record<string, string>>): string[] {
  return VARIABLE_NAMES.flatMap((name) => {
    const text = given[name];
    return text === undefined ? [] : (VARIABLES[name].secrets?.(text) ?? []);
  }).filter((secret) => secret !== "");
}

function toConfig(values: Values): Omit<Config, "warnings" | "secrets"> {
  const callback = new URL(values.GOOGLE_CALLBACK_URL);
  const configured = values.GOOGLE_CLIENT_ID !== "" && values.STRIPE_SECRET_KEY !== "";
  const pointsHere =
    isLoopback(new URL(values.GOOGLE_ISSUER)) || isLoopback(new URL(values.STRIPE_API_BASE));
  return {
    environment: values.NODE_ENV,
    port: values.PORT,
    host: values.HOST,
    workers: values.WORKERS,
    logLevel: values.LOG_LEVEL,
    shutdownDelayMs: values.SHUTDOWN_DELAY_MS,
    database: {
      ...values.DATABASE_URL,
      ...(values.DATABASE_SSL_CA === undefined ? {} : { sslCa: values.DATABASE_SSL_CA }),
    },
    redis: toRedis(values),
    tokens: {
      accessSecrets: values.JWT_SECRET,
      accessTtlSeconds: values.JWT_EXPIRES_IN,
      refreshSecrets: values.REFRESH_TOKEN_SECRET,
      refreshTtlSeconds: values.REFRESH_TOKEN_EXPIRES_IN,
      sessionMaxAgeSeconds: values.SESSION_MAX_AGE,
    },
    google: {
      clientId: values.GOOGLE_CLIENT_ID,
      clientSecret: values.GOOGLE_CLIENT_SECRET,
      callbackUrl: values.GOOGLE_CALLBACK_URL,
      issuer: values.GOOGLE_ISSUER,
    },
    stripe: {
      secretKey: values.STRIPE_SECRET_KEY,
      webhookSecrets: values.STRIPE_WEBHOOK_SECRET,
      publishableKey: values.STRIPE_PUBLISHABLE_KEY,
      apiBase: values.STRIPE_API_BASE,
    },
    frontendOrigins: values.FRONTEND_URL,
    cookies: {
      sameSite: values.COOKIE_SAMESITE,
      // Browsers accept SameSite=None only with Secure, and accept Secure from http://localhost too.
      secure: callback.protocol === "https:" || values.COOKIE_SAMESITE === "none",
    },
    trustProxy: values.TRUST_PROXY,
    credits: {
      signup: values.DEFAULT_SIGNUP_CREDITS,
      costs: featureCosts(values),
    },
    ai: toAi(values),
    rateLimit: {
      windowMs: values.RATE_LIMIT_WINDOW_MS,
      maxRequests: values.RATE_LIMIT_MAX_REQUESTS,
    },
    adminEmails: values.ADMIN_EMAILS,
    serviceKeys: values.SERVICE_API_KEYS,
    metricsToken: values.METRICS_TOKEN ?? null,
    tracing: toTracing(values),
    sandbox: values.NODE_ENV !== "production" && (!configured || pointsHere),
  };
}

function featureCosts(values: Values): Config["credits"]["costs"] {
  const costs = FEATURES.map((feature) => [feature, values[FEATURE_TABLE[feature].priceVariable]]);
  return Object.fromEntries(costs) as Config["credits"]["costs"];
}

/** Returns null if no provider is configured: there are no AI features then. */
function toAi(values: Values): Config["ai"] {
  if (values.AI_BASE_URL === undefined) return null;
  return {
    baseUrl: values.AI_BASE_URL.replace(/\/+$/, ""),
    apiKey: values.AI_API_KEY ?? null,
    models: { flash: values.AI_MODEL_FLASH ?? null, pro: values.AI_MODEL_PRO ?? null },
  };
}

/** Returns null if no collector is configured or tracing is switched off. */
function toTracing(values: Values): Config["tracing"] {
  const base = values.OTEL_EXPORTER_OTLP_ENDPOINT;
  const url =
    values.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ??
    (base === undefined ? undefined : `${base.replace(/\/+$/, "")}/v1/traces`);
  const isOff = values.OTEL_SDK_DISABLED || values.OTEL_TRACES_EXPORTER === "none";
  if (url === undefined || isOff) return null;
  return {
    url,
    headers: values.OTEL_EXPORTER_OTLP_HEADERS,
    serviceName: values.OTEL_SERVICE_NAME,
    resource: values.OTEL_RESOURCE_ATTRIBUTES,
    sampler: { name: values.OTEL_TRACES_SAMPLER, ratio: values.OTEL_TRACES_SAMPLER_ARG },
  };
}

function toRedis(values: Values): RedisConfig | null {
  const password = values.REDIS_PASSWORD === undefined ? {} : { password: values.REDIS_PASSWORD };
  if (values.REDIS_SENTINELS && values.REDIS_SENTINEL_NAME !== undefined)
    return {
      kind: "sentinel",
      sentinels: values.REDIS_SENTINELS,
      name: values.REDIS_SENTINEL_NAME,
      ...password,
    };
  if (values.REDIS_CLUSTER_NODES)
    return { kind: "cluster", nodes: values.REDIS_CLUSTER_NODES, ...password };
  if (values.REDIS_HOST !== undefined)
    return {
      kind: "single",
      host: values.REDIS_HOST,
      port: values.REDIS_PORT,
      tls: false,
      db: 0,
      ...password,
    };
  return values.REDIS_URL ?? null;
}
