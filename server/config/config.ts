// Owns the environment: every variable parsed once into one frozen Config, every problem told at once.
import { z } from "zod";
import { FEATURE_TABLE, FEATURES, type Feature } from "../../shared/src/features.ts";
import {
  type Endpoint,
  certificates,
  durationSeconds,
  emails,
  endpoints,
  integer,
  isLoopback,
  issuer,
  list,
  origins,
  serviceKeys,
  trustProxy,
  url,
} from "./fields.ts";
import { freeze } from "../lib/freeze.ts";
import { applyRules } from "./rules.ts";
import { FALLBACKS, VARIABLE_NAMES } from "./variables.ts";

/** Where Redis is; null in Config means in-process. */
export type RedisConfig =
  | {
      kind: "single";
      host: string;
      port: number;
      username?: string;
      password?: string;
      tls: boolean;
      db: number;
    }
  | { kind: "sentinel"; sentinels: Endpoint[]; name: string; password?: string }
  | { kind: "cluster"; nodes: Endpoint[]; password?: string };

/** Everything the server may know about its surroundings. Frozen; durations carry their unit. */
export interface Config {
  readonly environment: "development" | "production" | "test";
  readonly port: number;
  readonly host: string;
  readonly logLevel: string;
  /** How long to go on accepting after SIGTERM with /ready already false. */
  readonly shutdownDelayMs: number;
  readonly database: {
    readonly kind: "sqlite" | "mysql";
    readonly url: string;
    /** Certificates in PEM form: the CA of a mysql:// database. */
    readonly sslCa?: string;
  };
  readonly redis: RedisConfig | null;
  readonly tokens: {
    /** The first signs, all verify. */
    readonly accessSecrets: readonly string[];
    readonly accessTtlSeconds: number;
    readonly refreshSecrets: readonly string[];
    readonly refreshTtlSeconds: number;
    readonly sessionMaxAgeSeconds: number;
  };
  readonly google: {
    readonly clientId: string;
    readonly clientSecret: string;
    readonly callbackUrl: string;
    readonly issuer: string;
  };
  readonly stripe: {
    readonly secretKey: string;
    readonly webhookSecrets: readonly string[];
    readonly publishableKey: string;
    readonly apiBase: string;
  };
  /** Exact origins; the first is where redirects go. */
  readonly frontendOrigins: readonly [string, ...string[]];
  readonly cookies: {
    readonly sameSite: "lax" | "strict" | "none";
    readonly secure: boolean;
  };
  /** Express's own value: false, hops, or a list of proxy addresses. */
  readonly trustProxy: false | number | string;
  readonly credits: {
    readonly signup: number;
    readonly costs: Readonly<Record<Feature, number>>;
  };
  /** The model provider, any OpenAI-compatible API; null = no AI features. */
  readonly ai: {
    readonly baseUrl: string;
    readonly apiKey: string | null;
    readonly models: { readonly flash: string | null; readonly pro: string | null };
  } | null;
  readonly rateLimit: {
    readonly windowMs: number;
    readonly maxRequests: number;
  };
  readonly adminEmails: readonly string[];
  readonly serviceKeys: readonly {
    readonly name: string;
    readonly key: string;
  }[];
  readonly metricsToken: string | null;
  /** True when Google and Stripe are the sandbox's on this machine. */
  readonly sandbox: boolean;
  /** Settings that work but deserve a word in the log. */
  readonly warnings: readonly string[];
}

/** Every problem of an environment at once, each with how to mend it. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      `The configuration has ${problems.length} problem(s):\n${problems.map((p) => `  - ${p}`).join("\n")}`,
    );
    this.name = "ConfigError";
    this.problems = problems;
  }
}

type PriceVariable = (typeof FEATURE_TABLE)[Feature]["priceVariable"];

/** The price of each feature, under the variable that the table of features names. */
const priceFields = Object.fromEntries(
  FEATURES.map((feature) => [FEATURE_TABLE[feature].priceVariable, integer(1, 1_000_000)]),
) as Record<PriceVariable, ReturnType<typeof integer>>;

const schema = z.object({
  ...priceFields,
  NODE_ENV: z.enum(["development", "production", "test"], {
    error: "must be development, test or production",
  }),
  PORT: integer(0, 65_535),
  HOST: z.string().max(255),
  LOG_LEVEL: z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"], {
    error: "must be fatal, error, warn, info, debug, trace or silent",
  }),
  SHUTDOWN_DELAY_MS: integer(0, 5_000),
  DATABASE_URL: z.string().transform(parseDatabase),
  DATABASE_SSL_CA: certificates.optional(),
  REDIS_URL: z.string().transform(parseRedisUrl).optional(),
  REDIS_HOST: z.string().max(255).optional(),
  REDIS_PORT: integer(1, 65_535),
  REDIS_PASSWORD: z.string().optional(),
  REDIS_SENTINELS: endpoints(26_379).optional(),
  REDIS_SENTINEL_NAME: z.string().optional(),
  REDIS_CLUSTER_NODES: endpoints(6_379).optional(),
  JWT_SECRET: z.string().transform(list).default([]),
  JWT_EXPIRES_IN: durationSeconds(1, 86_400),
  REFRESH_TOKEN_SECRET: z.string().transform(list).default([]),
  REFRESH_TOKEN_EXPIRES_IN: durationSeconds(1, 400 * 86_400),
  SESSION_MAX_AGE: durationSeconds(1, 400 * 86_400),
  GOOGLE_CLIENT_ID: z.string().default(""),
  GOOGLE_CLIENT_SECRET: z.string().default(""),
  GOOGLE_CALLBACK_URL: url,
  // Compared letter by letter with the provider's own word for itself: a trailing slash may belong to it.
  GOOGLE_ISSUER: issuer,
  STRIPE_SECRET_KEY: z.string().default(""),
  STRIPE_WEBHOOK_SECRET: z.string().transform(list).default([]),
  STRIPE_PUBLISHABLE_KEY: z.string().default(""),
  STRIPE_API_BASE: url,
  FRONTEND_URL: origins,
  COOKIE_SAMESITE: z
    .string()
    .toLowerCase()
    .pipe(z.enum(["lax", "strict", "none"], { error: "must be lax, strict or none" })),
  TRUST_PROXY: trustProxy,
  DEFAULT_SIGNUP_CREDITS: integer(0, 1_000_000_000),
  AI_BASE_URL: url.optional(),
  AI_API_KEY: z.string().optional(),
  AI_MODEL_FLASH: z.string().max(100).optional(),
  AI_MODEL_PRO: z.string().max(100).optional(),
  RATE_LIMIT_WINDOW_MS: integer(100, 86_400_000),
  RATE_LIMIT_MAX_REQUESTS: integer(1, 1_000_000_000),
  ADMIN_EMAILS: emails.default([]),
  SERVICE_API_KEYS: serviceKeys.default([]),
  METRICS_TOKEN: z.string().optional(),
});

/**
 * The whole environment as one frozen Config. Empty values count as unset; unset ones take the defaults of
 * config/variables.ts. Throws ConfigError with every problem. In development, secrets and sandbox addresses are merged
 * into `environment` by main.ts beforehand; what is still missing of Google or Stripe makes `sandbox` true.
 */
export function parseConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const given: Record<string, string> = {};
  for (const name of VARIABLE_NAMES) {
    const value = environment[name]?.trim();
    if (value !== undefined && value !== "") given[name] = value;
  }
  const production = given["NODE_ENV"] === "production";
  const values: Record<string, string | undefined> = { ...FALLBACKS, ...given };
  // A port that is none is one problem, not two.
  const port = schema.shape.PORT.safeParse(values["PORT"]).success ? values["PORT"] : "0";
  values["GOOGLE_CALLBACK_URL"] = values["GOOGLE_CALLBACK_URL"]?.replace("$PORT", port ?? "0");
  const parsed = schema.safeParse(values);
  // One by one: a mistake elsewhere must not hide what is wrong between these.
  const seconds = (name: "JWT_EXPIRES_IN" | "REFRESH_TOKEN_EXPIRES_IN" | "SESSION_MAX_AGE") =>
    schema.shape[name].safeParse(values[name]).data ?? 0;
  const problems = (parsed.error?.issues ?? []).map(
    (issue) => `${issue.path.join(".")} ${issue.message}`,
  );
  const { problems: more, warnings } = applyRules({
    given,
    names: Object.keys(environment),
    production,
    accessTtlSeconds: seconds("JWT_EXPIRES_IN"),
    refreshTtlSeconds: seconds("REFRESH_TOKEN_EXPIRES_IN"),
    sessionMaxAgeSeconds: seconds("SESSION_MAX_AGE"),
  });
  if (!parsed.data || problems.length + more.length > 0)
    throw new ConfigError([...new Set([...problems, ...more])]);
  return freeze(toConfig(parsed.data, warnings));
}

function toConfig(values: z.output<typeof schema>, warnings: readonly string[]): Config {
  const callback = new URL(values.GOOGLE_CALLBACK_URL);
  const configured = values.GOOGLE_CLIENT_ID !== "" && values.STRIPE_SECRET_KEY !== "";
  const pointsHere =
    isLoopback(new URL(values.GOOGLE_ISSUER)) || isLoopback(new URL(values.STRIPE_API_BASE));
  return {
    environment: values.NODE_ENV,
    port: values.PORT,
    host: values.HOST,
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
      // Browsers take SameSite=None only with Secure, and take Secure from http://localhost too.
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
    sandbox: values.NODE_ENV !== "production" && (!configured || pointsHere),
    warnings,
  };
}

function featureCosts(values: z.output<typeof schema>): Config["credits"]["costs"] {
  const costs = FEATURES.map((feature) => [feature, values[FEATURE_TABLE[feature].priceVariable]]);
  return Object.fromEntries(costs) as Config["credits"]["costs"];
}

/** Null where no provider is named: then there are no AI features. */
function toAi(values: z.output<typeof schema>): Config["ai"] {
  if (values.AI_BASE_URL === undefined) return null;
  return {
    baseUrl: values.AI_BASE_URL.replace(/\/+$/, ""),
    apiKey: values.AI_API_KEY ?? null,
    models: { flash: values.AI_MODEL_FLASH ?? null, pro: values.AI_MODEL_PRO ?? null },
  };
}

function parseDatabase(text: string, ctx: z.RefinementCtx): Config["database"] {
  if (/^file:./.test(text)) return { kind: "sqlite", url: text };
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text)?.[1]?.toLowerCase();
  const known = scheme === "mysql" || scheme === "mariadb";
  if (known && URL.canParse(text)) {
    const address = new URL(text);
    if (address.hostname !== "" && /^\/[^/]+$/.test(address.pathname))
      return { kind: "mysql", url: text };
  }
  ctx.addIssue(
    known || scheme === undefined || scheme === "file"
      ? "must be mysql://USER:PASSWORD@HOST:3306/DATABASE or file:/path/to/file.db (write special characters of a password percent-encoded)"
      : `is for "${scheme}", which is not supported: use mysql://, mariadb:// or file:`,
  );
  return z.NEVER;
}

function parseRedisUrl(text: string, ctx: z.RefinementCtx): RedisConfig {
  const address = URL.canParse(text) ? new URL(text) : null;
  const database = Number(address?.pathname.slice(1) || "0");
  const isRedis = address?.protocol === "redis:" || address?.protocol === "rediss:";
  if (!address || !isRedis || !address.hostname || !Number.isInteger(database) || !decodes(text)) {
    ctx.addIssue("must be redis://[:PASSWORD@]HOST:6379[/0] (rediss:// for TLS)");
    return z.NEVER;
  }
  return {
    kind: "single",
    host: address.hostname.replace(/^\[|\]$/g, ""),
    port: Number(address.port || "6379"),
    tls: address.protocol === "rediss:",
    db: database,
    ...(address.username === "" ? {} : { username: decodeURIComponent(address.username) }),
    ...(address.password === "" ? {} : { password: decodeURIComponent(address.password) }),
  };
}

function decodes(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function toRedis(values: z.output<typeof schema>): RedisConfig | null {
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
