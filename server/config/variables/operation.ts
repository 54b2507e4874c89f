// The environment variables of limits, administrators, workers and metrics.
import { z } from "zod";
import { wholeText } from "../checks.ts";
import { emails, integer, list, serviceKeys } from "../fields.ts";
import { defineGroup, type Finding, weak } from "../variable.ts";
import { findWeakness } from "../weak-secrets.ts";

const MIN_SERVICE_KEY_LENGTH = 32;
const MIN_METRICS_TOKEN_BYTES = 16;

export const OPERATION = defineGroup("Limits and operation", {
  RATE_LIMIT_WINDOW_MS: {
    schema: integer(100, 86_400_000),
    default: "900000",
    description: "Length of a limit's window.",
  },
  RATE_LIMIT_MAX_REQUESTS: {
    schema: integer(1, 1_000_000_000),
    default: "100",
    description:
      "Anonymous calls per address, and signed-in writes per user, in one window; signed-in reads have ten times as many, refreshes three times, a worker's calls a hundred times. Of a user's calls, checkouts (payment.checkout, payment.subscribe) may be a quarter of it, reads that ask Stripe (payment.invoices, payment.previewPlanChange) as many, user.export a tenth. Every call of a batch counts.",
  },
  ADMIN_EMAILS: {
    schema: emails.default([]),
    description: "Verified addresses that become ADMIN at sign-in, comma-separated.",
    example: "owner@example.com",
  },
  SERVICE_API_KEYS: {
    schema: serviceKeys.default([]),
    description:
      "name:key list (key of 32 characters or more) for AI workers that spend for users.",
    example: "",
    secrets: (text) => list(text).map((part) => nameAndKey(part).key),
    check: checkServiceKeys,
  },
  METRICS_TOKEN: {
    schema: z.string().optional(),
    description: "Bearer token of /metrics; unset in production = /metrics is off.",
    example: "",
    secrets: wholeText,
    check: checkMetricsToken,
  },
});

function nameAndKey(part: string): { name: string; key: string } {
  const colon = part.indexOf(":");
  return { name: part.slice(0, Math.max(0, colon)), key: part.slice(colon + 1) };
}

function checkServiceKeys(text: string): Finding[] {
  return list(text).flatMap((part) => {
    const { name, key } = nameAndKey(part);
    // Shorter ones are refused by the schema.
    const reason = key.length < MIN_SERVICE_KEY_LENGTH ? null : findWeakness(key);
    return reason === null
      ? []
      : [weak(`holds a key for "${name}" that ${reason}: use \`openssl rand -hex 32\``)];
  });
}

function checkMetricsToken(text: string): Finding[] {
  const reason = findWeakness(text, MIN_METRICS_TOKEN_BYTES);
  return reason === null
    ? []
    : [weak(`${reason}: use \`openssl rand -hex 32\`, or unset it to turn /metrics off`)];
}
