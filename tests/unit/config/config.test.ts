// A wrong environment is reported in full, each problem with its remedy, and a correct one is understood.
import { readFileSync } from "node:fs";
import { parseEnv } from "node:util";
import { describe, expect, test } from "vitest";
import { ConfigError, parseConfig } from "../../../server/config/parse-config.ts";
import { exampleFile, environmentTable } from "../../../server/config/docs.ts";
import { VARIABLE_NAMES } from "../../../server/config/variables.ts";

const PRODUCTION = {
  NODE_ENV: "production",
  DATABASE_URL: "mysql://skywork:pw@db.internal:3306/skywork",
  REDIS_HOST: "redis.internal",
  JWT_SECRET: "Zk3v9QmT1xW7rB5nC8yL2pH6sD4fG0aJ",
  REFRESH_TOKEN_SECRET: "pL2mK9jN4hB7gV1cF6xD3zS8aQ5wE0rT",
  GOOGLE_CLIENT_ID: "123-abc.apps.googleusercontent.com",
  GOOGLE_CLIENT_SECRET: "GOCSPX-kd83hd72hs",
  GOOGLE_CALLBACK_URL: "https://api.skywork.dev/api/auth/google/callback",
  STRIPE_SECRET_KEY: "sk_live_51abcdefghijkl",
  STRIPE_WEBHOOK_SECRET: "whsec_abcdefghijkl",
  FRONTEND_URL: "https://skywork.dev",
} as const;

function problems(environment: Record<string, string | undefined>): readonly string[] {
  try {
    parseConfig(environment);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

test("production starts with what it needs, and the Config is frozen", () => {
  const config = parseConfig(PRODUCTION);
  expect(config).toMatchObject({
    environment: "production",
    port: 5000,
    database: { kind: "mysql" },
    redis: { kind: "single", host: "redis.internal", port: 6379 },
    tokens: { accessTtlSeconds: 900, refreshTtlSeconds: 604_800, sessionMaxAgeSeconds: 2_592_000 },
    cookies: { sameSite: "lax", secure: true },
    trustProxy: false,
    sandbox: false,
    warnings: [],
  });
  expect(Object.isFrozen(config)).toBe(true);
  expect(Object.isFrozen(config.credits.costs)).toBe(true);
});

test("development needs nothing, and says that it is the sandbox's", () => {
  expect(parseConfig({})).toMatchObject({
    environment: "development",
    database: { kind: "sqlite", url: "file:./.data/skywork.db" },
    redis: null,
    google: { callbackUrl: "http://localhost:5000/api/auth/google/callback" },
    sandbox: true,
  });
});

test("empty values count as unset", () => {
  expect(parseConfig({ PORT: "", REDIS_HOST: " ", STRIPE_SECRET_KEY: "" })).toMatchObject({
    port: 5000,
    redis: null,
  });
});

test("every missing setting of production is named at once", () => {
  const found = problems({ NODE_ENV: "production" });
  for (const name of [
    "DATABASE_URL",
    "JWT_SECRET",
    "REFRESH_TOKEN_SECRET",
    "GOOGLE_CLIENT_ID",
    "GOOGLE_CLIENT_SECRET",
    "STRIPE_SECRET_KEY",
    "STRIPE_WEBHOOK_SECRET",
  ])
    expect(found.filter((problem) => problem.startsWith(`${name} is missing: `))).toHaveLength(1);
});

test("production asks for the variables that the table marks, and for no others", () => {
  const marked = Array.from(environmentTable().matchAll(/^\| `(\w+)` \*/gm), ([, name]) => name);
  const asked = problems({ NODE_ENV: "production" }).map((problem) => problem.split(" ")[0]);
  expect(new Set(asked)).toEqual(new Set(marked));
});

/** What makes an otherwise good production environment bad, and the variable that the error must name. */
const REFUSED: readonly (readonly [string, Record<string, string>, string])[] = [
  ["a short secret", { JWT_SECRET: "Zk3v9QmT1xW7rB5nC8yL2pH6sD4f" }, "JWT_SECRET"],
  [
    "a short secret among several",
    { JWT_SECRET: `${PRODUCTION.JWT_SECRET},short` },
    "JWT_SECRET (entry 2)",
  ],
  ["a placeholder", { JWT_SECRET: "change-me-change-me-change-me-change-me" }, "JWT_SECRET"],
  [
    "the seed's example",
    { JWT_SECRET: "your-super-secret-jwt-key-change-this-in-production" },
    "JWT_SECRET",
  ],
  [
    "a published value",
    { REFRESH_TOKEN_SECRET: "a-string-secret-at-least-256-bits-long" },
    "REFRESH_TOKEN_SECRET",
  ],
  ["one letter repeated", { JWT_SECRET: "a".repeat(64) }, "JWT_SECRET"],
  ["a word repeated", { JWT_SECRET: "password1password1password1password1" }, "JWT_SECRET"],
  ["one secret for both", { REFRESH_TOKEN_SECRET: PRODUCTION.JWT_SECRET }, "share a value"],
  [
    "an access token that outlives the refresh token",
    { JWT_EXPIRES_IN: "8h", REFRESH_TOKEN_EXPIRES_IN: "4h" },
    "JWT_EXPIRES_IN",
  ],
  ["no duration", { JWT_EXPIRES_IN: "soon" }, "JWT_EXPIRES_IN"],
  ["a duration of none", { JWT_EXPIRES_IN: "0" }, "JWT_EXPIRES_IN"],
  ["a port that is none", { PORT: "65536" }, "PORT"],
  ["a port in words", { PORT: "http" }, "PORT"],
  ["a price of 0", { CHAT_COST_FLASH: "0" }, "CHAT_COST_FLASH"],
  ["a negative price", { CHAT_COST_PRO: "-5" }, "CHAT_COST_PRO"],
  ["half a credit", { PPT_GENERATE_COST: "0.5" }, "PPT_GENERATE_COST"],
  ["a price in words", { PPT_EDIT_COST: "five" }, "PPT_EDIT_COST"],
  ["a database of another kind", { DATABASE_URL: "postgres://u:p@h/db" }, "DATABASE_URL"],
  ["a database without a name", { DATABASE_URL: "mysql://u:p@h:3306/" }, "DATABASE_URL"],
  ["a database that is no address", { DATABASE_URL: "localhost" }, "DATABASE_URL"],
  ["two Redises", { REDIS_URL: "redis://other:6379" }, "REDIS_URL and REDIS_HOST"],
  ["Sentinels and a host", { REDIS_SENTINELS: "a:1", REDIS_SENTINEL_NAME: "m" }, "REDIS_SENTINELS"],
  [
    "Sentinels without a name",
    { REDIS_HOST: "", REDIS_SENTINELS: "a:26379" },
    "REDIS_SENTINEL_NAME",
  ],
  [
    "Sentinel beside a cluster",
    {
      REDIS_HOST: "",
      REDIS_SENTINELS: "a:1",
      REDIS_SENTINEL_NAME: "m",
      REDIS_CLUSTER_NODES: "b:2",
    },
    "REDIS_CLUSTER_NODES",
  ],
  [
    "several workers without Redis",
    { WORKERS: "4", REDIS_HOST: "", REDIS_PASSWORD: "" },
    "without Redis",
  ],
  ["several workers on SQLite", { WORKERS: "4", DATABASE_URL: "file:x.db" }, "embedded database"],
  ["no worker at all", { WORKERS: "0" }, "WORKERS"],
  ["a Redis that is no address", { REDIS_HOST: "", REDIS_URL: "http://x" }, "REDIS_URL"],
  [
    "a password that cannot be decoded",
    { REDIS_HOST: "", REDIS_URL: "redis://:%zz@h:6379" },
    "REDIS_URL",
  ],
  ["keys of two modes", { STRIPE_PUBLISHABLE_KEY: "pk_test_abc" }, "STRIPE_PUBLISHABLE_KEY"],
  ["a key that is none", { STRIPE_SECRET_KEY: "live" }, "STRIPE_SECRET_KEY"],
  ["a webhook secret that is none", { STRIPE_WEBHOOK_SECRET: "secret" }, "STRIPE_WEBHOOK_SECRET"],
  [
    "Stripe over plain http elsewhere",
    { STRIPE_API_BASE: "http://stripe.internal" },
    "STRIPE_API_BASE",
  ],
  ["Stripe with a path", { STRIPE_API_BASE: "https://api.stripe.com/v1" }, "STRIPE_API_BASE"],
  [
    "an issuer over plain http elsewhere",
    { GOOGLE_ISSUER: "http://idp.internal" },
    "GOOGLE_ISSUER",
  ],
  ["a placeholder client id", { GOOGLE_CLIENT_ID: "your-google-client-id" }, "GOOGLE_CLIENT_ID"],
  [
    "a callback over plain http elsewhere",
    { GOOGLE_CALLBACK_URL: "http://api.skywork.dev/api/auth/google/callback" },
    "GOOGLE_CALLBACK_URL",
  ],
  [
    "cookies for other sites without https",
    { COOKIE_SAMESITE: "none", GOOGLE_CALLBACK_URL: "" },
    "COOKIE_SAMESITE",
  ],
  ["a wildcard origin", { FRONTEND_URL: "https://*.skywork.dev" }, "FRONTEND_URL"],
  ["an origin with a path", { FRONTEND_URL: "https://skywork.dev/app" }, "FRONTEND_URL"],
  ["any origin", { FRONTEND_URL: "*" }, "FRONTEND_URL"],
  ["a proxy that is anybody", { TRUST_PROXY: "true" }, "TRUST_PROXY"],
  ["a proxy range of every address", { TRUST_PROXY: "0.0.0.0/0" }, "TRUST_PROXY"],
  ["a proxy by name", { TRUST_PROXY: "proxy.internal" }, "TRUST_PROXY"],
  ["a worker without a key", { SERVICE_API_KEYS: "worker" }, "SERVICE_API_KEYS"],
  ["a worker with a short key", { SERVICE_API_KEYS: "worker:short" }, "SERVICE_API_KEYS"],
  [
    "two workers of one name",
    { SERVICE_API_KEYS: "w:Zk3v9QmT1xW7rB5nC8yL2pH6sD4fG0a1,w:Zk3v9QmT1xW7rB5nC8yL2pH6sD4fG0a2" },
    "SERVICE_API_KEYS",
  ],
  [
    "two workers with one key",
    { SERVICE_API_KEYS: "a:Zk3v9QmT1xW7rB5nC8yL2pH6sD4fG0a1,b:Zk3v9QmT1xW7rB5nC8yL2pH6sD4fG0a1" },
    "SERVICE_API_KEYS",
  ],
  ["a guessable metrics token", { METRICS_TOKEN: "metrics" }, "METRICS_TOKEN"],
  ["an administrator without an address", { ADMIN_EMAILS: "root" }, "ADMIN_EMAILS"],
  ["no requests at all", { RATE_LIMIT_MAX_REQUESTS: "0" }, "RATE_LIMIT_MAX_REQUESTS"],
];

test.each(REFUSED)("production refuses %s", (_name, change, named) => {
  const found = problems({ ...PRODUCTION, ...change });
  expect(found.filter((problem) => problem.includes(named))).toHaveLength(1);
});

test("one mistake is one problem, and hides no other", () => {
  const change = { PORT: "65536", JWT_EXPIRES_IN: "8h", REFRESH_TOKEN_EXPIRES_IN: "4h" };
  const found = problems({ ...PRODUCTION, GOOGLE_CALLBACK_URL: "", ...change });
  expect(found.map((problem) => problem.split(" ")[0])).toEqual([
    "PORT",
    "JWT_EXPIRES_IN",
    "GOOGLE_CALLBACK_URL",
  ]);
});

describe("production on localhost", () => {
  const sandbox = { GOOGLE_ISSUER: "http://localhost:5001" };
  test.each([
    ["GOOGLE_CALLBACK_URL", "http://localhost:5000/api/auth/google/callback"],
    ["GOOGLE_CALLBACK_URL", "http://127.0.0.1:5000/api/auth/google/callback"],
    ["GOOGLE_CALLBACK_URL", "https://api.localhost/api/auth/google/callback"],
    ["GOOGLE_CALLBACK_URL", ""],
    ["FRONTEND_URL", "http://localhost:3000"],
    ["FRONTEND_URL", "https://skywork.dev,http://[::1]:3000"],
    ["FRONTEND_URL", ""],
  ])("refuses %s=%s, and takes it where the issuer is on loopback too", (name, value) => {
    const environment = { ...PRODUCTION, [name]: value };
    expect(problems(environment).map((problem) => problem.split(" ")[0])).toEqual([name]);
    expect(parseConfig({ ...environment, ...sandbox }).warnings.join()).toContain(name);
  });
});

test("a problem never repeats a secret", () => {
  const secret = "hunter2hunter2hunter2hunter2hunter2";
  const text = problems({
    ...PRODUCTION,
    JWT_SECRET: secret,
    SERVICE_API_KEYS: `w:${secret},w:${secret}`,
    STRIPE_SECRET_KEY: secret,
    DATABASE_URL: `postgres://root:${secret}@h/db`,
    REDIS_HOST: "",
    REDIS_URL: `http://:${secret}@h`,
  }).join("\n");
  expect(text).not.toContain("hunter2");
});

describe("development warns where production refuses, and refuses what cannot work", () => {
  test("a weak secret is a warning", () => {
    expect(parseConfig({ JWT_SECRET: "short" }).warnings.join()).toContain("JWT_SECRET");
  });
  test.each([
    { GOOGLE_CLIENT_ID: "x" },
    { STRIPE_SECRET_KEY: "sk_test_abc" },
    { CHAT_COST_PRO: "0" },
    { TRUST_PROXY: "true" },
    { NODE_ENV: "staging" },
  ])("%j is refused", (environment) => {
    expect(problems({ ...environment })).not.toEqual([]);
  });
});

describe("values", () => {
  test.each([
    ["90s", 90],
    ["15m", 900],
    ["12h", 43_200],
    ["3600", 3600],
  ])("reads JWT_EXPIRES_IN=%s as %i seconds", (text, seconds) => {
    expect(parseConfig({ JWT_EXPIRES_IN: text }).tokens.accessTtlSeconds).toBe(seconds);
  });

  test.each([
    ["off", false],
    ["false", false],
    ["0", false],
    ["2", 2],
    ["10.0.0.0/8, loopback", "10.0.0.0/8,loopback"],
  ])("reads TRUST_PROXY=%s as %j", (text, value) => {
    expect(parseConfig({ TRUST_PROXY: text }).trustProxy).toBe(value);
  });

  test("reads Redis in each of its four shapes", () => {
    expect(parseConfig({ REDIS_URL: "rediss://u:p%40@h:1/2" }).redis).toEqual({
      kind: "single",
      host: "h",
      port: 1,
      username: "u",
      password: "p@",
      tls: true,
      db: 2,
    });
    expect(parseConfig({ REDIS_HOST: "h", REDIS_PASSWORD: "p" }).redis).toMatchObject({
      kind: "single",
      password: "p",
    });
    expect(parseConfig({ REDIS_SENTINELS: "a,b:2", REDIS_SENTINEL_NAME: "m" }).redis).toEqual({
      kind: "sentinel",
      name: "m",
      sentinels: [
        { host: "a", port: 26_379 },
        { host: "b", port: 2 },
      ],
    });
    expect(parseConfig({ REDIS_CLUSTER_NODES: "a:7000,[::1]:7001" }).redis).toEqual({
      kind: "cluster",
      nodes: [
        { host: "a", port: 7000 },
        { host: "::1", port: 7001 },
      ],
    });
  });

  test("reads lists: several secrets, origins without their slash, addresses in lower case", () => {
    const config = parseConfig({
      JWT_SECRET: "one, two",
      FRONTEND_URL: "https://a.dev/, http://localhost:3000",
      ADMIN_EMAILS: "Owner@Example.com",
    });
    expect(config.tokens.accessSecrets).toEqual(["one", "two"]);
    expect(config.frontendOrigins).toEqual(["https://a.dev", "http://localhost:3000"]);
    expect(config.adminEmails).toEqual(["owner@example.com"]);
  });
});

describe(".env.example", () => {
  const text = readFileSync(new URL("../../../.env.example", import.meta.url), "utf8");

  test("is what the table makes", () => {
    expect(text).toBe(exampleFile());
  });

  test("copied and uncommented without a thought, it does not start production", () => {
    const uncommented = text.replaceAll(/^#([A-Z_]+=)/gm, "$1");
    const environment = parseEnv(uncommented);
    expect(Object.keys(environment).sort()).toEqual([...VARIABLE_NAMES].sort());
    expect(problems({ ...environment, NODE_ENV: "production" }).length).toBeGreaterThan(5);
  });
});

test("docs/reference/environment.md is what the definitions make", () => {
  const url = new URL("../../../docs/reference/environment.md", import.meta.url);
  expect(readFileSync(url, "utf8")).toContain(
    `<!-- environment -->\n${environmentTable()}\n<!-- /environment -->`,
  );
});
