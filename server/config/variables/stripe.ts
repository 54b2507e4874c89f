// The environment variables of Stripe.
import { z } from "zod";
import { checkNotEmptyList, checkServiceAddress, wholeText } from "../checks.ts";
import { httpUrl, list, url } from "../fields.ts";
import { type CheckContext, defineGroup, type Finding, problem, warning } from "../variable.ts";
import { isPlaceholder } from "../weak-secrets.ts";

/** Returns the mode of a secret key, "test" or "live"; undefined when it is not one. */
export function secretKeyMode(text: string): string | undefined {
  return /^(?:sk|rk)_(test|live)_\S+$/.exec(text)?.[1];
}

/** Returns the mode of a publishable key, "test" or "live"; undefined when it is not one. */
export function publishableKeyMode(text: string): string | undefined {
  return /^pk_(test|live)_\S+$/.exec(text)?.[1];
}

export const STRIPE = defineGroup("Stripe (unset in development = sandbox)", {
  STRIPE_SECRET_KEY: {
    schema: z.string().default(""),
    description: "sk_… or a restricted rk_… key.",
    example: "",
    required: true,
    howToGet: "copy it from https://dashboard.stripe.com/apikeys",
    secrets: wholeText,
    check: checkSecretKey,
  },
  STRIPE_WEBHOOK_SECRET: {
    schema: z.string().transform(list).default([]),
    description:
      "whsec_… of the endpoint https://HOST/api/payment/webhook. A comma list accepts several while rotating.",
    example: "",
    required: true,
    howToGet:
      "create a webhook endpoint for /api/payment/webhook at https://dashboard.stripe.com/webhooks and copy its signing secret",
    secrets: list,
    check: checkWebhookSecrets,
  },
  STRIPE_PUBLISHABLE_KEY: {
    schema: z.string().default(""),
    description: "pk_…; must be of the same mode (test or live) as the secret key.",
    example: "",
    check: (text) =>
      publishableKeyMode(text) === undefined
        ? [problem("is no publishable key: it starts with pk_test_ or pk_live_")]
        : [],
  },
  STRIPE_API_BASE: {
    schema: url,
    default: "https://api.stripe.com",
    description: "Scheme, host and port of the Stripe API.",
    check: checkApiBase,
  },
});

function checkSecretKey(text: string, { production, howToGet }: CheckContext): Finding[] {
  const mode = secretKeyMode(text);
  if (mode === undefined)
    return [problem("is no Stripe key: it starts with sk_test_, sk_live_, rk_test_ or rk_live_")];
  const findings: Finding[] = [];
  if (isPlaceholder(text)) findings.push(problem(`is a placeholder: ${howToGet}`));
  if (production && mode === "test") findings.push(warning("is a test key: no real money moves"));
  return findings;
}

function checkWebhookSecrets(text: string, context: CheckContext): Finding[] {
  const wrong = list(text).flatMap((secret) => {
    if (!/^whsec_\S+$/.test(secret))
      return [problem("is no signing secret: it starts with whsec_ and comes from Stripe")];
    return isPlaceholder(secret) ? [problem(`is a placeholder: ${context.howToGet}`)] : [];
  });
  return [...checkNotEmptyList(text, context), ...wrong];
}

function checkApiBase(text: string, context: CheckContext): Finding[] {
  const base = httpUrl(text);
  const path =
    base && base.pathname !== "/" ? [problem("has a path: give scheme, host and port only")] : [];
  return [...checkServiceAddress(text, context), ...path];
}
