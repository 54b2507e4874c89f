// Rules between variables: contradictory and incomplete settings, each with how to fix it. Rules about a single
// variable are in its definition.
import { httpUrl, isLoopback, list } from "./fields.ts";
import { findMisspelledVariables } from "./misspelled.ts";
import { type Finding, problem, warning, weak } from "./variable.ts";
import { VARIABLE_NAMES, VARIABLES, type Values } from "./variables.ts";
import { publishableKeyMode, secretKeyMode } from "./variables/stripe.ts";

/** The environment without empty values, and the part of it that could be parsed. */
export interface RuleInput {
  readonly given: Readonly<Record<string, string>>;
  /** The names of all variables of the environment, ours and others. */
  readonly names: readonly string[];
  readonly production: boolean;
  /** The parsed values, defaults included: a mistake elsewhere must not hide what is wrong between these. */
  readonly parsed: Partial<Values>;
}

/** Each of these says where Redis is; at most one may be set. */
const REDIS_WAYS = ["REDIS_URL", "REDIS_HOST", "REDIS_SENTINELS", "REDIS_CLUSTER_NODES"];

/** Returns what is wrong with the environment as a whole; each text is a whole sentence. */
export function applyRules(input: RuleInput): Finding[] {
  const rules = [missing, misspelled, sharedSecret, lifetimes, redis, pairs, stripeModes];
  return [...rules, sameSite, localhost, ai, workers].flatMap((rule) => rule(input));
}

function missing({ given, production }: RuleInput): Finding[] {
  if (!production) return [];
  return VARIABLE_NAMES.filter(
    (name) => VARIABLES[name].required === true && given[name] === undefined,
  ).map((name) => {
    const { howToGet, description } = VARIABLES[name];
    return problem(`${name} is missing: ${howToGet ?? description}`);
  });
}

function misspelled({ given, names }: RuleInput): Finding[] {
  return findMisspelledVariables(names, given).map(warning);
}

function sharedSecret({ given }: RuleInput): Finding[] {
  const refresh = list(given["REFRESH_TOKEN_SECRET"] ?? "");
  if (!list(given["JWT_SECRET"] ?? "").some((value) => refresh.includes(value))) return [];
  return [
    weak("JWT_SECRET and REFRESH_TOKEN_SECRET share a value: make another one for one of them"),
  ];
}

function lifetimes({ parsed }: RuleInput): Finding[] {
  const access = parsed.JWT_EXPIRES_IN ?? 0;
  const refresh = parsed.REFRESH_TOKEN_EXPIRES_IN ?? 0;
  const findings: Finding[] = [];
  if (access > refresh)
    findings.push(
      weak(
        "JWT_EXPIRES_IN is longer than REFRESH_TOKEN_EXPIRES_IN: an access token must be the shorter one (15m and 7d are usual)",
      ),
    );
  if (refresh > (parsed.SESSION_MAX_AGE ?? 0))
    findings.push(
      warning(
        "REFRESH_TOKEN_EXPIRES_IN is longer than SESSION_MAX_AGE, which ends every sign-in first: raise SESSION_MAX_AGE or shorten the other",
      ),
    );
  return findings;
}

function redis({ given, production }: RuleInput): Finding[] {
  const isSet = (name: string): boolean => given[name] !== undefined;
  const ways = REDIS_WAYS.filter(isSet);
  const findings: Finding[] = [];
  if (ways.length > 1)
    findings.push(
      problem(`${ways.join(" and ")} are both set: keep the one that tells where Redis is`),
    );
  if (isSet("REDIS_SENTINELS") && !isSet("REDIS_SENTINEL_NAME"))
    findings.push(
      problem("REDIS_SENTINELS is set without REDIS_SENTINEL_NAME: give the name of the master"),
    );
  if (isSet("REDIS_SENTINEL_NAME") && !isSet("REDIS_SENTINELS"))
    findings.push(
      problem(
        "REDIS_SENTINEL_NAME is set without REDIS_SENTINELS: list the sentinels as host:port",
      ),
    );
  if (isSet("REDIS_PASSWORD") && (ways.length === 0 || ways[0] === "REDIS_URL"))
    findings.push(
      problem(
        "REDIS_PASSWORD is set without REDIS_HOST, REDIS_SENTINELS or REDIS_CLUSTER_NODES: set one of them (with REDIS_URL the password belongs in the address)",
      ),
    );
  if (isSet("REDIS_PORT") && !isSet("REDIS_HOST"))
    findings.push(warning("REDIS_PORT is set without REDIS_HOST and has no effect"));
  if (production && ways.length === 0)
    findings.push(
      warning(
        "no Redis is configured: limits, locks and live updates stay within this one process",
      ),
    );
  return findings;
}

/** Several processes have to share what one process would keep in its memory or in its database file. */
function workers({ given, parsed }: RuleInput): Finding[] {
  const count = parsed.WORKERS ?? 1;
  if (count === 1) return [];
  const findings: Finding[] = [];
  if (!REDIS_WAYS.some((name) => given[name] !== undefined))
    findings.push(
      problem(
        `WORKERS is ${count} without Redis, through which the processes share limits, sign-outs and live updates: set REDIS_URL, or WORKERS=1`,
      ),
    );
  if (parsed.DATABASE_URL?.kind === "sqlite")
    findings.push(
      problem(
        `WORKERS is ${count} with the embedded database, which one process writes: set DATABASE_URL to MySQL or MariaDB, or WORKERS=1`,
      ),
    );
  return findings;
}

/** Half of a vendor's settings never work; in production `missing` names the rest anyway. */
function pairs({ given, production }: RuleInput): Finding[] {
  if (production) return [];
  const both = [
    ["GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"],
    ["GOOGLE_CLIENT_SECRET", "GOOGLE_CLIENT_ID"],
    ["STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"],
    ["STRIPE_WEBHOOK_SECRET", "STRIPE_SECRET_KEY"],
  ] as const;
  return both
    .filter(([name, other]) => given[name] !== undefined && given[other] === undefined)
    .map(([name, other]) =>
      problem(`${name} is set without ${other}: set both, or neither for the sandbox`),
    );
}

function stripeModes({ given }: RuleInput): Finding[] {
  const secret = secretKeyMode(given["STRIPE_SECRET_KEY"] ?? "");
  const publishable = publishableKeyMode(given["STRIPE_PUBLISHABLE_KEY"] ?? "");
  if (secret === undefined || publishable === undefined || secret === publishable) return [];
  return [
    problem(
      `STRIPE_SECRET_KEY is of ${secret} mode and STRIPE_PUBLISHABLE_KEY of ${publishable} mode: take both from the same mode`,
    ),
  ];
}

function sameSite({ given }: RuleInput): Finding[] {
  if (given["COOKIE_SAMESITE"]?.toLowerCase() !== "none") return [];
  const callback = httpUrl(given["GOOGLE_CALLBACK_URL"] ?? "");
  if (callback && (callback.protocol === "https:" || isLoopback(callback))) return [];
  return [
    weak(
      "COOKIE_SAMESITE is none without https: browsers refuse such a cookie; serve the API (GOOGLE_CALLBACK_URL) by https",
    ),
  ];
}

/** Production on localhost makes sense only if the identity provider is local too, as when trying the sandbox. */
function localhost({ given, production }: RuleInput): Finding[] {
  if (!production) return [];
  const issuer = httpUrl(given["GOOGLE_ISSUER"] ?? "");
  const finding = issuer !== null && isLoopback(issuer) ? warning : problem;
  const callback = httpUrl(given["GOOGLE_CALLBACK_URL"] ?? "");
  const findings: Finding[] = [];
  if (given["GOOGLE_CALLBACK_URL"] === undefined)
    findings.push(
      finding(
        "GOOGLE_CALLBACK_URL is unset, and its default is localhost: set it to https://YOUR-API/api/auth/google/callback",
      ),
    );
  else if (callback && isLoopback(callback))
    findings.push(
      finding(
        "GOOGLE_CALLBACK_URL is on localhost: Google would send people to their own machine; set it to https://YOUR-API/api/auth/google/callback",
      ),
    );
  if (given["FRONTEND_URL"] === undefined)
    findings.push(
      finding(
        "FRONTEND_URL is unset, and its default is http://localhost:3000: set it to the origin of your frontend",
      ),
    );
  for (const origin of list(given["FRONTEND_URL"] ?? "").flatMap((part) => httpUrl(part) ?? []))
    if (isLoopback(origin))
      findings.push(
        finding(
          `FRONTEND_URL holds ${origin.origin}: whatever runs there on a visitor's machine could use their sign-in; leave it out`,
        ),
      );
  return findings;
}

/** The AI features need an address and a model; one without the other is probably a mistake. */
function ai({ given }: RuleInput): Finding[] {
  const models = ["AI_MODEL_FLASH", "AI_MODEL_PRO"].filter((name) => given[name] !== undefined);
  if (given["AI_BASE_URL"] !== undefined)
    return models.length > 0
      ? []
      : [
          warning(
            "AI_BASE_URL is set without a model, so there are no AI features: set AI_MODEL_FLASH or AI_MODEL_PRO",
          ),
        ];
  const idle = [...models, ...(given["AI_API_KEY"] === undefined ? [] : ["AI_API_KEY"])];
  return idle.map((name) =>
    warning(
      `${name} is set without AI_BASE_URL and has no effect: set AI_BASE_URL to the provider's address, such as https://api.openai.com/v1`,
    ),
  );
}
