// Owns the environment: every variable parsed once into one frozen Config, every problem told at once.
import { z } from "zod";
import type { Feature } from "../shared/src/features.ts";

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

/** A host and a port. */
export interface Endpoint {
  host: string;
  port: number;
}

/** Everything the server may know about its surroundings. Frozen; durations carry their unit. */
export interface Config {
  readonly environment: "development" | "production" | "test";
  readonly port: number;
  readonly host: string;
  readonly logLevel: string;
  readonly database: {
    readonly kind: "sqlite" | "mysql";
    readonly url: string;
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
}
