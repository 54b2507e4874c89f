// A variable that looks like a misspelled one of ours is reported, one of another program is not, and a list of secrets
// without entries is refused.
import { describe, expect, test } from "vitest";
import { ConfigError, parseConfig } from "../../../server/config/parse-config.ts";
import { VARIABLE_NAMES } from "../../../server/config/variables.ts";

const told = (environment: Record<string, string>): string[] =>
  parseConfig(environment).warnings.filter((warning) => warning.includes("did you mean"));

describe("a misspelled variable", () => {
  test.each([
    ["FRONTENDURL", "FRONTEND_URL"],
    ["frontend_url", "FRONTEND_URL"],
    ["FRONTEND_URLS", "FRONTEND_URL"],
    ["FRONTED_URL", "FRONTEND_URL"],
    ["DATABASE_URI", "DATABASE_URL"],
    ["JWT_SECRETS", "JWT_SECRET"],
    ["STRIPE-SECRET-KEY", "STRIPE_SECRET_KEY"],
    ["STRIPE_WEBHOK_SECERT", "STRIPE_WEBHOOK_SECRET"],
    ["NODE_EVN", "NODE_ENV"],
    ["TRUSTPROXY", "TRUST_PROXY"],
  ])("%s is a warning that names %s", (given, right) => {
    expect(told({ [given]: "x" })).toEqual([`${given} has no effect: did you mean ${right}?`]);
  });

  test("is told also beside the right one when only its underscores or case differ", () => {
    const both = { FRONTENDURL: "x", FRONTEND_URL: "http://localhost:3000" };
    expect(told(both)).toHaveLength(1);
    expect(told({ REDIS_URL_2: "x", REDIS_URL: "redis://localhost:6379" })).toEqual([]);
  });

  test("is not seen in ours, nor in what other programs use", () => {
    const usual =
      "PATH HOME HOSTNAME HOSTS USER SHELL LANG TERM PWD PORTS TEST_DATABASE_URL TEST_REDIS_URL NODE_OPTIONS " +
      "NODE_PATH NODE_EXTRA_CA_CERTS npm_config_registry REDIS_TLS GOOGLE_APPLICATION_CREDENTIALS STRIPE_CLI " +
      "KUBERNETES_PORT KUBERNETES_SERVICE_HOST HTTP_PROXY HTTPS_PROXY NO_PROXY MYSQL_HOST MYSQL_URL CI DEBUG";
    expect(told(Object.fromEntries(usual.split(" ").map((name) => [name, "x"])))).toEqual([]);
    for (const name of VARIABLE_NAMES) expect(told({ [name]: "" })).toEqual([]);
  });
});

test.each(["STRIPE_WEBHOOK_SECRET", "JWT_SECRET", "REFRESH_TOKEN_SECRET"])(
  "%s is refused when it is a list without an entry",
  (name) => {
    const environment = {
      [name]: ", ,",
      STRIPE_SECRET_KEY: "sk_test_51abcdefghijkl",
      STRIPE_WEBHOOK_SECRET: "whsec_abcdefgh",
    };
    try {
      parseConfig({ ...environment, [name]: ", ," });
      expect.unreachable();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      expect(error.problems.join("\n")).toContain(`${name} is an empty list: `);
    }
  },
);
