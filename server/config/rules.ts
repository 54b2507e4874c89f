// Owns what is wrong with an environment as a whole: missing, weak and contradictory settings, each with how to mend it.
import { httpUrl, isLoopback, list } from "./fields.ts";
import { misspeltVariables } from "./misspelt.ts";
import { isPlaceholder, weakness } from "./weak-secrets.ts";
import { ENVIRONMENT } from "./variables.ts";

/** What the rules found. Problems stop the start; warnings are logged. */
export interface Findings {
  problems: string[];
  warnings: string[];
}

/** The environment without empty values, and what of it has been understood. */
export interface RuleInput {
  readonly given: Readonly<Record<string, string>>;
  /** The names of all variables of the environment, ours and others. */
  readonly names: readonly string[];
  readonly production: boolean;
  readonly accessTtlSeconds: number;
  readonly refreshTtlSeconds: number;
  readonly sessionMaxAgeSeconds: number;
}

const HOW_TO_GET: Readonly<Record<string, string>> = {
  DATABASE_URL:
    "set it to mysql://USER:PASSWORD@HOST:3306/DATABASE, or to file:/path/skywork.db for one machine",
  JWT_SECRET: "set it to the output of `openssl rand -base64 48`",
  REFRESH_TOKEN_SECRET:
    "set it to the output of `openssl rand -base64 48`, another one than JWT_SECRET",
  GOOGLE_CLIENT_ID:
    "create an OAuth client at https://console.cloud.google.com/apis/credentials and copy its id",
  GOOGLE_CLIENT_SECRET:
    "copy it from the OAuth client at https://console.cloud.google.com/apis/credentials",
  STRIPE_SECRET_KEY: "copy it from https://dashboard.stripe.com/apikeys",
  STRIPE_WEBHOOK_SECRET:
    "create a webhook endpoint for /api/payment/webhook at https://dashboard.stripe.com/webhooks and copy its signing secret",
};

/** Checks everything that needs more than one value, or depends on production. */
export function applyRules(input: RuleInput): Findings {
  const findings: Findings = { problems: [], warnings: [] };
  const strict = input.production ? findings.problems : findings.warnings;
  missing(input, findings);
  emptyLists(input, findings);
  findings.warnings.push(...misspeltVariables(input.names, input.given));
  secrets(input, strict);
  lifetimes(input, strict, findings.warnings);
  redis(input, findings);
  vendors(input, findings);
  browserSide(input, findings);
  return findings;
}

function missing({ given, production }: RuleInput, { problems }: Findings): void {
  if (!production) return;
  for (const variable of ENVIRONMENT.flatMap((group) => group.variables)) {
    if (!variable.required || given[variable.name] !== undefined) continue;
    problems.push(`${variable.name} is missing: ${HOW_TO_GET[variable.name] ?? variable.meaning}`);
  }
}

/** A list without an entry would be no secret at all. */
function emptyLists({ given }: RuleInput, { problems }: Findings): void {
  for (const name of ["JWT_SECRET", "REFRESH_TOKEN_SECRET", "STRIPE_WEBHOOK_SECRET"])
    if (given[name] !== undefined && list(given[name]).length === 0)
      problems.push(`${name} is an empty list: ${HOW_TO_GET[name]}`);
}

function secrets({ given }: RuleInput, strict: string[]): void {
  const tokenSecrets = ["JWT_SECRET", "REFRESH_TOKEN_SECRET"] as const;
  for (const name of tokenSecrets) {
    for (const [index, value] of list(given[name] ?? "").entries()) {
      const reason = weakness(value);
      const which = index === 0 ? "" : ` (entry ${index + 1})`;
      if (reason) strict.push(`${name}${which} ${reason}: ${HOW_TO_GET[name]}`);
    }
  }
  const refresh = list(given["REFRESH_TOKEN_SECRET"] ?? "");
  if (list(given["JWT_SECRET"] ?? "").some((value) => refresh.includes(value)))
    strict.push(
      "JWT_SECRET and REFRESH_TOKEN_SECRET share a value: make another one for one of them",
    );
  for (const part of list(given["SERVICE_API_KEYS"] ?? "")) {
    const [name, key] = [part.slice(0, part.indexOf(":")), part.slice(part.indexOf(":") + 1)];
    const reason = key.length >= 32 ? weakness(key) : null;
    if (reason)
      strict.push(`SERVICE_API_KEYS: the key of "${name}" ${reason}: use \`openssl rand -hex 32\``);
  }
  const metrics = given["METRICS_TOKEN"];
  const reason = metrics === undefined ? null : weakness(metrics, 16);
  if (reason)
    strict.push(
      `METRICS_TOKEN ${reason}: use \`openssl rand -hex 32\`, or unset it to turn /metrics off`,
    );
}

function lifetimes(input: RuleInput, strict: string[], warnings: string[]): void {
  if (input.accessTtlSeconds > input.refreshTtlSeconds)
    strict.push(
      "JWT_EXPIRES_IN is longer than REFRESH_TOKEN_EXPIRES_IN: an access token must be the shorter one (15m and 7d are usual)",
    );
  if (input.refreshTtlSeconds > input.sessionMaxAgeSeconds)
    warnings.push(
      "REFRESH_TOKEN_EXPIRES_IN is longer than SESSION_MAX_AGE, which ends every sign-in first: raise SESSION_MAX_AGE or shorten the other",
    );
}

function redis({ given, production }: RuleInput, { problems, warnings }: Findings): void {
  const ways = ["REDIS_URL", "REDIS_HOST", "REDIS_SENTINELS", "REDIS_CLUSTER_NODES"].filter(
    (name) => given[name] !== undefined,
  );
  if (ways.length > 1)
    problems.push(`${ways.join(" and ")} are both set: keep the one that tells where Redis is`);
  if (given["REDIS_SENTINELS"] !== undefined && given["REDIS_SENTINEL_NAME"] === undefined)
    problems.push(
      "REDIS_SENTINELS is set without REDIS_SENTINEL_NAME: give the name of the master",
    );
  if (given["REDIS_SENTINEL_NAME"] !== undefined && given["REDIS_SENTINELS"] === undefined)
    problems.push(
      "REDIS_SENTINEL_NAME is set without REDIS_SENTINELS: list the sentinels as host:port",
    );
  if (given["REDIS_PASSWORD"] !== undefined && (ways.length === 0 || ways[0] === "REDIS_URL"))
    problems.push(
      "REDIS_PASSWORD is set without REDIS_HOST, REDIS_SENTINELS or REDIS_CLUSTER_NODES: set one of them (with REDIS_URL the password belongs into the address)",
    );
  if (given["REDIS_PORT"] !== undefined && given["REDIS_HOST"] === undefined)
    warnings.push("REDIS_PORT is set without REDIS_HOST and has no effect");
  if (production && ways.length === 0)
    warnings.push(
      "no Redis is configured: limits, locks and live updates stay within this one process",
    );
}

function vendors({ given, production }: RuleInput, { problems, warnings }: Findings): void {
  const pairs = [
    ["GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"],
    ["STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"],
  ] as const;
  for (const [one, other] of pairs) {
    if (production) break;
    for (const [name, lacks] of [[one, other] as const, [other, one] as const])
      if (given[name] !== undefined && given[lacks] === undefined)
        problems.push(`${name} is set without ${lacks}: set both, or neither for the sandbox`);
  }
  const stripeKey = given["STRIPE_SECRET_KEY"];
  const key = /^(sk|rk)_(test|live)_\S+$/.exec(stripeKey ?? "");
  if (stripeKey !== undefined && !key)
    problems.push(
      "STRIPE_SECRET_KEY is no Stripe key: it starts with sk_test_, sk_live_, rk_test_ or rk_live_",
    );
  else if (stripeKey !== undefined && isPlaceholder(stripeKey))
    problems.push(`STRIPE_SECRET_KEY is a placeholder: ${HOW_TO_GET["STRIPE_SECRET_KEY"]}`);
  for (const secret of list(given["STRIPE_WEBHOOK_SECRET"] ?? ""))
    if (!/^whsec_\S+$/.test(secret))
      problems.push(
        "STRIPE_WEBHOOK_SECRET is no signing secret: it starts with whsec_ and comes from Stripe",
      );
    else if (isPlaceholder(secret))
      problems.push(
        `STRIPE_WEBHOOK_SECRET is a placeholder: ${HOW_TO_GET["STRIPE_WEBHOOK_SECRET"]}`,
      );
  const publishable = given["STRIPE_PUBLISHABLE_KEY"];
  const publishableMode = /^pk_(test|live)_\S+$/.exec(publishable ?? "")?.[1];
  if (publishable !== undefined && publishableMode === undefined)
    problems.push(
      "STRIPE_PUBLISHABLE_KEY is no publishable key: it starts with pk_test_ or pk_live_",
    );
  if (key && publishableMode !== undefined && key[2] !== publishableMode)
    problems.push(
      `STRIPE_SECRET_KEY is of ${key[2]} mode and STRIPE_PUBLISHABLE_KEY of ${publishableMode} mode: take both from the same mode`,
    );
  if (production && key?.[2] === "test")
    warnings.push("STRIPE_SECRET_KEY is a test key: no real money moves");
  for (const name of ["GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"] as const) {
    const value = given[name];
    if (production && value !== undefined && isPlaceholder(value))
      problems.push(`${name} is a placeholder: ${HOW_TO_GET[name]}`);
  }
  for (const name of ["GOOGLE_ISSUER", "STRIPE_API_BASE"] as const) {
    const address = httpUrl(given[name] ?? "");
    if (!address) continue;
    if (address.protocol === "http:" && !isLoopback(address))
      problems.push(`${name} is plain http: secrets would travel in the clear; use https`);
    else if (production && isLoopback(address))
      warnings.push(`${name} points at this machine: a sandbox, not the real service`);
  }
  const base = httpUrl(given["STRIPE_API_BASE"] ?? "");
  if (base && base.pathname !== "/")
    problems.push("STRIPE_API_BASE has a path: give scheme, host and port only");
}

function browserSide({ given, production }: RuleInput, { problems, warnings }: Findings): void {
  const callback = httpUrl(given["GOOGLE_CALLBACK_URL"] ?? "");
  const strict = production ? problems : warnings;
  if (callback && !callback.pathname.endsWith("/api/auth/google/callback"))
    warnings.push(
      "GOOGLE_CALLBACK_URL does not end in /api/auth/google/callback: a proxy must map it to that path",
    );
  if (callback && callback.protocol === "http:" && !isLoopback(callback))
    strict.push(
      "GOOGLE_CALLBACK_URL is plain http: Google and secure cookies need https outside this machine",
    );
  const frontends = list(given["FRONTEND_URL"] ?? "").flatMap((origin) => httpUrl(origin) ?? []);
  if (production) localhost({ given, callback, frontends }, { problems, warnings });
  for (const frontend of frontends)
    if (frontend.protocol === "http:" && !isLoopback(frontend))
      strict.push(`FRONTEND_URL holds ${frontend.origin}: use https outside this machine`);
  const sameSite = given["COOKIE_SAMESITE"]?.toLowerCase();
  if (
    sameSite === "none" &&
    !(callback && (callback.protocol === "https:" || isLoopback(callback)))
  )
    strict.push(
      "COOKIE_SAMESITE is none without https: browsers refuse such a cookie; serve the API (GOOGLE_CALLBACK_URL) by https",
    );
}

/** Production on this machine alone: sensible only where the identity provider is here too, as when the sandbox is tried. */
function localhost(
  found: { given: RuleInput["given"]; callback: URL | null; frontends: readonly URL[] },
  { problems, warnings }: Findings,
): void {
  const issuer = httpUrl(found.given["GOOGLE_ISSUER"] ?? "");
  const told = issuer !== null && isLoopback(issuer) ? warnings : problems;
  if (found.given["GOOGLE_CALLBACK_URL"] === undefined)
    told.push(
      "GOOGLE_CALLBACK_URL is unset, and its default is localhost: set it to https://YOUR-API/api/auth/google/callback",
    );
  else if (found.callback && isLoopback(found.callback))
    told.push(
      "GOOGLE_CALLBACK_URL is on localhost: Google would send people to their own machine; set it to https://YOUR-API/api/auth/google/callback",
    );
  if (found.given["FRONTEND_URL"] === undefined)
    told.push(
      "FRONTEND_URL is unset, and its default is http://localhost:3000: set it to the origin of your frontend",
    );
  for (const frontend of found.frontends)
    if (isLoopback(frontend))
      told.push(
        `FRONTEND_URL holds ${frontend.origin}: whatever runs there on a visitor's machine could use their sign-in; leave it out`,
      );
}
