// Starts the stand-ins together, for `npm run dev`, `npm run demo` and tests.
//
//   const sandbox = await startSandbox({ webhookUrl, redirectUris });          // any free ports, state in memory
//   sandbox.stripe  : { url, port, secretKey, webhookSecret, control, close }  // STRIPE_API_BASE = url
//   sandbox.google  : { issuer, port, clientId, clientSecret, control, close } // GOOGLE_ISSUER = issuer
//   sandbox.model   : { url, port, models, control, close }                    // AI_BASE_URL = url
//   sandbox.env     : the environment variables an app needs to use them
//   await sandbox.close()
//
// `stripe.control` (StripeControl, stripe/control/control.ts), `google.control` (GoogleControl, google/control.ts) and
// `model.control` (ModelControl, model/server.ts) make things happen: payments, clock, refunds, disputes, misbehaviour.
// An app that learns its port after the sandbox has started calls stripe.control.setWebhookUrl(url) and
// google.control.addRedirectUri(url).
// There are two clocks. `clock` (injected; defaults to the real one) stamps events, sessions and signatures.
// stripe.control.advance moves only the billing clock, which subscriptions and invoices use. After moving an injected
// clock, call stripe.control.tick().
// Tests sign in without a browser through `driveSignIn` (tests/support/google-sign-in.ts).
import { type GoogleSandbox, startGoogleSandbox } from "./google/server.ts";
import type { GoogleUser } from "./google/users.ts";
import { type ModelSandbox, type ModelSandboxOptions, startModelSandbox } from "./model/server.ts";
import {
  type StripeSandbox,
  type StripeSandboxOptions,
  startStripeSandbox,
} from "./stripe/server.ts";

export interface SandboxOptions {
  host?: string;
  /** 0 (default) = any free port. */
  stripePort?: number;
  googlePort?: number;
  modelPort?: number;
  /** Where Stripe's events are sent, e.g. `http://localhost:5000/api/payment/webhook`. */
  webhookUrl?: string;
  /** Callback URLs that Google accepts, e.g. `http://localhost:5000/api/auth/google/callback`. */
  redirectUris: string[];
  /** Folder where Stripe's state is saved, so that it survives a restart. */
  dataDir?: string;
  secretKey?: string;
  webhookSecret?: string;
  clientId?: string;
  clientSecret?: string;
  users?: GoogleUser[];
  /** Hosts other than loopback that the `Host` header may name, and that events may be sent to. */
  allowHosts?: string[];
  clock?: () => Date;
  /** Any other option of the Stripe stand-in. */
  stripe?: Partial<StripeSandboxOptions>;
  /** Any other option of the model stand-in. */
  model?: Partial<ModelSandboxOptions>;
}

export interface Sandbox {
  stripe: StripeSandbox;
  google: GoogleSandbox;
  model: ModelSandbox;
  env: { [name: string]: string };
  close(): Promise<void>;
}

export const SANDBOX_DEFAULTS = {
  secretKey: "sk_test_sandbox_51SkyworkSandboxSecretKey",
  webhookSecret: "whsec_sandbox_c2t5d29yay1zYW5kYm94LXNlY3JldA",
  clientId: "skywork-sandbox.apps.googleusercontent.com",
  clientSecret: "GOCSPX-skywork-sandbox-secret",
};

/** Starts the stand-ins. If one cannot start, closes the others and rejects. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const started: { close(): Promise<void> }[] = [];
  const closeAll = async () => {
    await Promise.all(started.map((one) => one.close()));
  };
  try {
    const stripe = await startStripeSandbox(stripeOptions(options));
    started.push(stripe);
    const google = await startGoogleSandbox({
      port: options.googlePort,
      host: options.host,
      clientId: options.clientId ?? SANDBOX_DEFAULTS.clientId,
      clientSecret: options.clientSecret ?? SANDBOX_DEFAULTS.clientSecret,
      redirectUris: options.redirectUris,
      users: options.users,
      allowHosts: options.allowHosts,
    });
    started.push(google);
    const model = await startModelSandbox({
      ...options.model,
      ...(options.modelPort === undefined ? {} : { port: options.modelPort }),
      ...(options.host === undefined ? {} : { host: options.host }),
    });
    started.push(model);
    return { stripe, google, model, env: environmentOf(stripe, google, model), close: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

function stripeOptions(options: SandboxOptions): StripeSandboxOptions {
  return {
    ...options.stripe,
    port: options.stripePort ?? options.stripe?.port,
    host: options.host ?? options.stripe?.host,
    dataDir: options.dataDir ?? options.stripe?.dataDir,
    webhookUrl: options.webhookUrl ?? options.stripe?.webhookUrl,
    clock: options.clock ?? options.stripe?.clock,
    allowHosts: options.allowHosts ?? options.stripe?.allowHosts,
    secretKey: options.secretKey ?? SANDBOX_DEFAULTS.secretKey,
    webhookSecret: options.webhookSecret ?? SANDBOX_DEFAULTS.webhookSecret,
  };
}

function environmentOf(stripe: StripeSandbox, google: GoogleSandbox, model: ModelSandbox) {
  return {
    STRIPE_API_BASE: stripe.url,
    STRIPE_SECRET_KEY: stripe.secretKey,
    STRIPE_WEBHOOK_SECRET: stripe.webhookSecret,
    GOOGLE_ISSUER: google.issuer,
    GOOGLE_CLIENT_ID: google.clientId,
    GOOGLE_CLIENT_SECRET: google.clientSecret,
    AI_BASE_URL: model.url,
    AI_MODEL_FLASH: model.models.flash,
    AI_MODEL_PRO: model.models.pro,
  };
}
