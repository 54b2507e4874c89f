// Each variable is defined once, secret values reach the logger's list, half-configured AI variables cause a warning.
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../server/config/parse-config.ts";
import { GROUPS, VARIABLE_NAMES, VARIABLES } from "../../../server/config/variables.ts";

test("each name stands in one group", () => {
  const names = GROUPS.flatMap(({ variables }) => Object.keys(variables));
  expect(names).toEqual(VARIABLE_NAMES);
  expect(new Set(names).size).toBe(names.length);
});

test("every default is what its own schema accepts", () => {
  for (const name of VARIABLE_NAMES) {
    const { schema, default: text } = VARIABLES[name];
    const result = schema.safeParse(text?.replace("$PORT", "5000"));
    expect(result.success, name).toBe(true);
  }
});

describe("Config.secrets", () => {
  const KEY = "Zk3v9QmT1xW7rB5nC8yL2pH6sD4fG0a1";
  test.each([
    ["DATABASE_URL", "mysql://u:pa%40ss@h/db", ["pa@ss"]],
    ["DATABASE_URL", "file:./x.db", []],
    ["REDIS_URL", "redis://:p%40ss@h:6379", ["p@ss"]],
    ["JWT_SECRET", "first, second", ["first", "second"]],
    ["REFRESH_TOKEN_SECRET", "first, second", ["first", "second"]],
    ["SERVICE_API_KEYS", `worker:${KEY}`, [KEY]],
    ["METRICS_TOKEN", "metrics", ["metrics"]],
    ["AI_API_KEY", "model-key", ["model-key"]],
    ["STRIPE_PUBLISHABLE_KEY", "pk_test_abc", []],
  ])("holds the secret parts of %s=%s", (name, text, secrets) => {
    expect(parseConfig({ [name]: text }).secrets).toEqual(secrets);
  });

  test("holds the passwords and keys that need company", () => {
    const environment = {
      REDIS_HOST: "h",
      REDIS_PASSWORD: "redis-password",
      GOOGLE_CLIENT_ID: "id",
      GOOGLE_CLIENT_SECRET: "google-secret",
      STRIPE_SECRET_KEY: "sk_test_abcdefgh",
      STRIPE_WEBHOOK_SECRET: "whsec_abcdefgh",
    };
    expect(parseConfig(environment).secrets).toEqual([
      "redis-password",
      "google-secret",
      "sk_test_abcdefgh",
      "whsec_abcdefgh",
    ]);
  });
});

describe("AI variables", () => {
  const warnings = (environment: Record<string, string>): string[] =>
    parseConfig(environment).warnings.filter((text) => text.startsWith("AI_"));
  const base = "https://models.example.com/v1";

  test.each([
    [{ AI_BASE_URL: base }, "set AI_MODEL_FLASH or AI_MODEL_PRO"],
    [{ AI_MODEL_PRO: "m" }, "AI_MODEL_PRO is set without AI_BASE_URL"],
    [{ AI_API_KEY: "k" }, "AI_API_KEY is set without AI_BASE_URL"],
  ])("warns of %j and says what to set", (environment, text) => {
    expect(warnings(environment)).toEqual([expect.stringContaining(text)]);
  });

  test("says nothing when address and a model are set, or neither", () => {
    expect(warnings({ AI_BASE_URL: base, AI_MODEL_FLASH: "m", AI_API_KEY: "k" })).toEqual([]);
    expect(warnings({})).toEqual([]);
  });

  test("warns of plain http to another machine in production only", () => {
    const production = {
      NODE_ENV: "production",
      DATABASE_URL: "file:./x.db",
      JWT_SECRET: "Zk3v9QmT1xW7rB5nC8yL2pH6sD4fG0aJ",
      REFRESH_TOKEN_SECRET: "pL2mK9jN4hB7gV1cF6xD3zS8aQ5wE0rT",
      GOOGLE_CLIENT_ID: "123-abc.apps.googleusercontent.com",
      GOOGLE_CLIENT_SECRET: "GOCSPX-kd83hd72hs",
      GOOGLE_CALLBACK_URL: "https://api.skywork.dev/api/auth/google/callback",
      STRIPE_SECRET_KEY: "sk_live_51abcdefghijkl",
      STRIPE_WEBHOOK_SECRET: "whsec_abcdefghijkl",
      FRONTEND_URL: "https://skywork.dev",
      AI_MODEL_PRO: "m",
    };
    const plain = "http://models.internal:8000/v1";
    expect(warnings({ ...production, AI_BASE_URL: plain })).toEqual([
      expect.stringContaining("is plain http"),
    ]);
    expect(warnings({ ...production, AI_BASE_URL: "http://127.0.0.1:11434/v1" })).toEqual([]);
    expect(warnings({ AI_BASE_URL: plain, AI_MODEL_PRO: "m" })).toEqual([]);
  });
});
