// `npm run sandbox`: the stand-ins alone, on fixed loopback ports, for other people's apps and tests.
import { type Sandbox, startSandbox } from "../../sandbox/src/sandbox.ts";

const STRIPE_PORT = 12111;
const GOOGLE_PORT = 12112;
const MODEL_PORT = 12113;

/** Returns a variable's value; undefined when it is unset or blank. */
const given = (name: string): string | undefined => process.env[name]?.trim() || undefined;

function port(name: string, fallback: number): number {
  const text = given(name);
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 65_535) {
    throw new Error(`${name}=${text} is not a port (0 to 65535).`);
  }
  return value;
}

function list(name: string, fallback: string): string[] {
  return (given(name) ?? fallback)
    .split(",")
    .map((it) => it.trim())
    .filter((it) => it !== "");
}

function describe(sandbox: Sandbox, webhookUrl: string, redirectUris: string[]): string {
  const stripe = sandbox.stripe.url;
  const google = sandbox.google.issuer;
  const model = sandbox.model.url.replace(/\/v1$/, "");
  const env = Object.entries(sandbox.env).map(([name, value]) => `  ${name}=${value}`);
  return `
Stripe sandbox   ${stripe}   (open it in a browser: checkout, clock, refunds, events)
Google sandbox   ${google}
Stand-in model   ${sandbox.model.url}   (OpenAI-compatible)

Point your app at them (paste into its .env):
${env.join("\n")}

Events are sent to  ${webhookUrl}   (SANDBOX_WEBHOOK_URL)
Google returns to   ${redirectUris.join(", ")}   (SANDBOX_REDIRECT_URIS, comma-separated)
Ports: SANDBOX_STRIPE_PORT, SANDBOX_GOOGLE_PORT, SANDBOX_MODEL_PORT. Beyond loopback: SANDBOX_HOST, SANDBOX_ALLOW_HOSTS.
 Keep Stripe's state over a restart: SANDBOX_DATA_DIR=.data/sandbox

Make Stripe misbehave (all commands: curl ${stripe}/_sandbox):
  curl -X POST ${stripe}/_sandbox/api -d '{"fault":"cut-after","times":1,"path":"/v1/refunds"}'
  curl -X POST ${stripe}/_sandbox/api -d '{"fault":"429","times":3,"retryAfterSeconds":2}'
  curl -X POST ${stripe}/_sandbox/delivery -d '{"duplicate":2,"reorder":5,"dropShare":0.2}'
  curl -X POST ${stripe}/_sandbox/clock -d '{"months":1,"hours":2}'
  curl -X POST ${stripe}/_sandbox/card -d '{"customer":"cus_...","card":"failing"}'
  curl -X POST ${stripe}/_sandbox/refund -d '{"id":"pi_...","amount":100}'
  curl -X POST ${stripe}/_sandbox/dispute -d '{"id":"pi_..."}'
  curl -X POST ${stripe}/_sandbox/well-behaved
Make Google misbehave (what there is: curl ${google}/_sandbox):
  curl -X POST '${google}/_sandbox?token=wrong-aud&times=1'
  curl -X POST '${google}/_sandbox?endpoint=token&fault=hang'
  curl -X POST '${google}/_sandbox?rotate=1'
  curl -X POST '${google}/_sandbox?reset=1'
Make the model misbehave (rateLimit, error, hang, cut, malformed, refusal ...):
  curl -X POST ${model}/_sandbox/misbehave -d '{"fault":"cut","times":1,"afterChunks":20}'
  curl -X POST ${model}/_sandbox/speed -d '{"tokensPerSecond":500}'

Ctrl-C ends them.
`;
}

async function main(): Promise<void> {
  const [webhookUrl = ""] = list(
    "SANDBOX_WEBHOOK_URL",
    "http://localhost:5000/api/payment/webhook",
  );
  const redirectUris = list(
    "SANDBOX_REDIRECT_URIS",
    "http://localhost:5000/api/auth/google/callback",
  );
  const sandbox = await startSandbox({
    host: given("SANDBOX_HOST"),
    stripePort: port("SANDBOX_STRIPE_PORT", STRIPE_PORT),
    googlePort: port("SANDBOX_GOOGLE_PORT", GOOGLE_PORT),
    modelPort: port("SANDBOX_MODEL_PORT", MODEL_PORT),
    webhookUrl,
    redirectUris,
    dataDir: given("SANDBOX_DATA_DIR"),
    allowHosts: list("SANDBOX_ALLOW_HOSTS", ""),
  });
  console.log(describe(sandbox, webhookUrl, redirectUris));
  const stop = (): void => {
    void sandbox.close().then(() => process.exit(0));
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(1);
});
