// The shape of the configuration. Types only: parse-config.ts makes one from the environment.
import type { Feature } from "../../shared/src/features.ts";

/** A host and a port. */
export interface Endpoint {
  host: string;
  port: number;
}

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

/** The values of OTEL_TRACES_SAMPLER. */
export type SamplerName = `${"" | "parentbased_"}${"always_on" | "always_off" | "traceidratio"}`;

/** Everything the server knows about its environment. Frozen; durations carry their unit. */
export interface Config {
  readonly environment: "development" | "production" | "test";
  readonly port: number;
  readonly host: string;
  /** Server processes on the one port. */
  readonly workers: number;
  readonly logLevel: string;
  /** How long to keep accepting after SIGTERM, with /ready already false. */
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
  /** Where traces go; null = nothing is traced. */
  readonly tracing: {
    /** The full address, /v1/traces included. */
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly serviceName: string;
    readonly resource: Readonly<Record<string, string>>;
    readonly sampler: { readonly name: SamplerName; readonly ratio: number };
  } | null;
  /** True when Google and Stripe are the sandbox's on this machine. */
  readonly sandbox: boolean;
  /** Settings that work but deserve a log line. */
  readonly warnings: readonly string[];
  /** Every secret value above; loggers redact them. */
  readonly secrets: readonly string[];
}
