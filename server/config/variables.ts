// Owns the list of environment variables: names, defaults and what each means. The parser, `.env.example` and the README's
// table are all held to this list by tests/unit/config.
import { FEATURE_TABLE } from "../../shared/src/features.ts";

export interface Variable {
  readonly name: string;
  /** The text used when the variable is unset or empty; null = none. */
  readonly fallback: string | null;
  readonly meaning: string;
  /** Shown commented out in `.env.example`. */
  readonly example?: string;
  /** True when production refuses to start without it. */
  readonly required?: boolean;
  /** Never shown in a message or a log. */
  readonly secret?: boolean;
}

/** A heading and the variables under it, in the order of `.env.example`. */
export interface VariableGroup {
  readonly title: string;
  readonly variables: readonly Variable[];
}

/** Every variable the server reads. */
export const ENVIRONMENT: readonly VariableGroup[] = [
  {
    title: "Process",
    variables: [
      {
        name: "NODE_ENV",
        fallback: "development",
        meaning: "development, test or production. Production refuses anything missing or weak.",
      },
      { name: "PORT", fallback: "5000", meaning: "Port the API listens on; 0 = any free one." },
      { name: "HOST", fallback: "0.0.0.0", meaning: "Address the API listens on." },
      {
        name: "LOG_LEVEL",
        fallback: "info",
        meaning: "fatal, error, warn, info, debug, trace or silent.",
      },
      {
        name: "SHUTDOWN_DELAY_MS",
        fallback: "0",
        meaning:
          "How long to go on accepting after SIGTERM with /ready already false, for a load balancer to notice; at most 5000.",
      },
    ],
  },
  {
    title: "Database and Redis (unset = embedded SQLite, everything else in this process)",
    variables: [
      {
        name: "DATABASE_URL",
        fallback: "file:./.data/skywork.db",
        meaning:
          "file: = SQLite; mysql:// or mariadb:// = MySQL 8 / MariaDB 10.6 or later. TLS: ?ssl=verify, verify-ca or no-verify, and sslca=FILE.",
        example: "mysql://skywork:PASSWORD@127.0.0.1:3306/skywork?connection_limit=10",
        required: true,
        secret: true,
      },
      {
        name: "DATABASE_SSL_CA",
        fallback: null,
        meaning:
          "PEM of the CA that signed the database's TLS certificate. Instead of sslca=FILE in DATABASE_URL.",
        example: "-----BEGIN CERTIFICATE-----\\nMIIB…\\n-----END CERTIFICATE-----",
      },
      {
        name: "REDIS_URL",
        fallback: null,
        meaning: "redis:// or rediss:// (TLS). Instead of REDIS_HOST.",
        example: "redis://:PASSWORD@127.0.0.1:6379/0",
        secret: true,
      },
      { name: "REDIS_HOST", fallback: null, meaning: "Redis by host.", example: "127.0.0.1" },
      { name: "REDIS_PORT", fallback: "6379", meaning: "Port beside REDIS_HOST." },
      {
        name: "REDIS_PASSWORD",
        fallback: null,
        meaning: "Password for REDIS_HOST, the Sentinel's master or the cluster.",
        example: "PASSWORD",
        secret: true,
      },
      {
        name: "REDIS_SENTINELS",
        fallback: null,
        meaning: "host:port list; needs REDIS_SENTINEL_NAME.",
        example: "10.0.0.1:26379,10.0.0.2:26379",
      },
      {
        name: "REDIS_SENTINEL_NAME",
        fallback: null,
        meaning: "Name of the master the Sentinels watch.",
        example: "mymaster",
      },
      {
        name: "REDIS_CLUSTER_NODES",
        fallback: null,
        meaning: "host:port list of some cluster nodes.",
        example: "10.0.0.1:7000,10.0.0.2:7000",
      },
    ],
  },
  {
    title: "Tokens (development makes its own and keeps them in .data/secrets.json)",
    variables: [
      {
        name: "JWT_SECRET",
        fallback: null,
        meaning:
          "Signs access tokens: 32 bytes or more, made by `openssl rand -base64 48`. A comma list rotates: the first signs, all verify.",
        example: "",
        required: true,
        secret: true,
      },
      { name: "JWT_EXPIRES_IN", fallback: "15m", meaning: "Life of an access token." },
      {
        name: "REFRESH_TOKEN_SECRET",
        fallback: null,
        meaning: "Protects refresh tokens; same rules, another value.",
        example: "",
        required: true,
        secret: true,
      },
      {
        name: "REFRESH_TOKEN_EXPIRES_IN",
        fallback: "7d",
        meaning: "How long a sign-in lives without being used.",
      },
      {
        name: "SESSION_MAX_AGE",
        fallback: "30d",
        meaning: "How long a sign-in lives at most, used or not.",
      },
    ],
  },
  {
    title: "Google sign-in (unset in development = sandbox)",
    variables: [
      {
        name: "GOOGLE_CLIENT_ID",
        fallback: null,
        meaning: "OAuth client of the type web application.",
        example: "",
        required: true,
      },
      {
        name: "GOOGLE_CLIENT_SECRET",
        fallback: null,
        meaning: "Its secret.",
        example: "",
        required: true,
        secret: true,
      },
      {
        name: "GOOGLE_CALLBACK_URL",
        fallback: "http://localhost:$PORT/api/auth/google/callback",
        meaning:
          "The authorised redirect URI, exactly as entered at Google; https outside this machine. Production refuses localhost, unless GOOGLE_ISSUER is there too.",
      },
      {
        name: "GOOGLE_ISSUER",
        fallback: "https://accounts.google.com",
        meaning: "Any OpenID Connect issuer; endpoints come from its discovery document.",
      },
    ],
  },
  {
    title: "Stripe (unset in development = sandbox)",
    variables: [
      {
        name: "STRIPE_SECRET_KEY",
        fallback: null,
        meaning: "sk_… or a restricted rk_… key.",
        example: "",
        required: true,
        secret: true,
      },
      {
        name: "STRIPE_WEBHOOK_SECRET",
        fallback: null,
        meaning:
          "whsec_… of the endpoint https://HOST/api/payment/webhook. A comma list accepts several while rotating.",
        example: "",
        required: true,
        secret: true,
      },
      {
        name: "STRIPE_PUBLISHABLE_KEY",
        fallback: null,
        meaning: "pk_…; must be of the same mode (test or live) as the secret key.",
        example: "",
      },
      {
        name: "STRIPE_API_BASE",
        fallback: "https://api.stripe.com",
        meaning: "Scheme, host and port of the Stripe API.",
      },
    ],
  },
  {
    title: "Browser side",
    variables: [
      {
        name: "FRONTEND_URL",
        fallback: "http://localhost:3000",
        meaning:
          "Exact origins, comma-separated; the first is where redirects go. Production refuses localhost, unless GOOGLE_ISSUER is there too.",
      },
      {
        name: "COOKIE_SAMESITE",
        fallback: "lax",
        meaning: "lax, strict or none; none for a frontend on another site (needs https).",
      },
      {
        name: "TRUST_PROXY",
        fallback: "off",
        meaning:
          "off, the number of proxies in front, or their addresses (comma list, CIDR allowed).",
      },
    ],
  },
  {
    title: "Credits",
    variables: [
      { name: "DEFAULT_SIGNUP_CREDITS", fallback: "100", meaning: "Given once to a new account." },
      ...Object.entries(FEATURE_TABLE).map(([feature, { priceVariable, defaultPriceCredits }]) => ({
        name: priceVariable,
        fallback: String(defaultPriceCredits),
        meaning: `Credits of one ${feature} call.`,
      })),
    ],
  },
  {
    title: "AI models (unset in development = a stand-in; unset in production = no AI features)",
    variables: [
      {
        name: "AI_BASE_URL",
        fallback: null,
        meaning:
          "Any OpenAI-compatible API, /v1 included: OpenAI, Gemini, OpenRouter, vLLM, Ollama.",
        example: "https://api.openai.com/v1",
      },
      {
        name: "AI_API_KEY",
        fallback: null,
        meaning: "Its key, where it wants one.",
        example: "",
        secret: true,
      },
      {
        name: "AI_MODEL_FLASH",
        fallback: null,
        meaning: "The model of chat-flash.",
        example: "gpt-5-mini",
      },
      {
        name: "AI_MODEL_PRO",
        fallback: null,
        meaning: "The model of chat-pro and of slides.",
        example: "gpt-5",
      },
    ],
  },
  {
    title: "Limits and operation",
    variables: [
      { name: "RATE_LIMIT_WINDOW_MS", fallback: "900000", meaning: "Length of a limit's window." },
      {
        name: "RATE_LIMIT_MAX_REQUESTS",
        fallback: "100",
        meaning:
          "Anonymous calls per address, and signed-in writes per user, in one window; signed-in reads have ten times as many. Every call of a batch counts.",
      },
      {
        name: "ADMIN_EMAILS",
        fallback: null,
        meaning: "Verified addresses that become ADMIN at sign-in, comma-separated.",
        example: "owner@example.com",
      },
      {
        name: "SERVICE_API_KEYS",
        fallback: null,
        meaning:
          "name:key list (key of 32 characters or more) for AI workers that spend for users.",
        example: "",
        secret: true,
      },
      {
        name: "METRICS_TOKEN",
        fallback: null,
        meaning: "Bearer token of /metrics; unset in production = /metrics is off.",
        example: "",
        secret: true,
      },
    ],
  },
];

/** All names, in order. */
export const VARIABLE_NAMES: readonly string[] = ENVIRONMENT.flatMap((group) =>
  group.variables.map((variable) => variable.name),
);

/** The fallback text of each variable that has one. */
export const FALLBACKS: Readonly<Record<string, string>> = Object.fromEntries(
  ENVIRONMENT.flatMap((group) => group.variables).flatMap((variable) =>
    variable.fallback === null ? [] : [[variable.name, variable.fallback] as const],
  ),
);

/** The text of `.env.example`. Every line is commented out: the defaults already hold. */
export function exampleFile(): string {
  const lines = [
    "# Copy to .env and uncomment what you change. Nothing is needed for development: an embedded database,",
    "# generated secrets and sandbox Google and Stripe are used. An empty value counts as unset.",
    "# Made by `npm run env:write`.",
  ];
  for (const group of ENVIRONMENT) {
    lines.push("", `# --- ${group.title} ---`);
    for (const variable of group.variables) {
      const flag = variable.required ? " Required in production." : "";
      lines.push(`# ${variable.meaning}${flag}`);
      lines.push(`#${variable.name}=${variable.example ?? variable.fallback ?? ""}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

/** The README's table: one line a variable, a bold line a group. */
export function readmeTable(): string {
  const lines = ["| name | default | meaning |", "|---|---|---|"];
  for (const group of ENVIRONMENT) {
    lines.push(`| **${group.title}** | | |`);
    for (const { name, fallback, meaning, required } of group.variables) {
      const value = fallback === null ? "" : `\`${fallback}\``;
      lines.push(`| \`${name}\`${required ? " *" : ""} | ${value} | ${meaning} |`);
    }
  }
  return lines.join("\n");
}
