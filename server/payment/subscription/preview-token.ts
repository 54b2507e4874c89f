// The preview token: what the user was shown before changing the plan, signed and valid for ten minutes.
import { z } from "zod";
import { jsonOrUndefined } from "../../lib/json.ts";
import { deriveKey, equalSecrets, hmac } from "../../lib/keys.ts";

/** How long a shown price is valid. */
const LIFETIME_SECONDS = 600;

const preview = z.strictObject({
  user: z.string(),
  subscription: z.string(),
  fromPrice: z.string(),
  /** The schedule that was pending at the time. */
  schedule: z.string().nullable().default(null),
  plan: z.string(),
  amountDue: z.int(),
  currency: z.string(),
  /** Unix seconds: Stripe prorates to this moment, so the amount stays what was shown. */
  prorationAt: z.int(),
  /** Unix seconds by this server's clock. */
  shownAt: z.int(),
});

/** What was shown. Money in minor units. */
export type Preview = z.output<typeof preview>;

function mac(secret: string, body: string): Buffer {
  return hmac(deriveKey(secret, "plan change preview"), body);
}

/** Returns the token for what is shown, signed with the first of `secrets`. */
export function signPreview(facts: Preview, secrets: readonly string[]): string {
  const body = Buffer.from(JSON.stringify(facts)).toString("base64url");
  return `${body}.${mac(secrets[0] ?? "", body).toString("base64url")}`;
}

/** Returns what the token says; null when it is forged, damaged or too old. */
export function readPreview(
  token: string,
  secrets: readonly string[],
  nowMs: number,
): Preview | null {
  const [body, signature, ...more] = token.split(".");
  if (body === undefined || signature === undefined || more.length > 0) return null;
  const given = Buffer.from(signature, "base64url");
  if (!secrets.some((secret) => equalSecrets(given, mac(secret, body)))) return null;
  const text = Buffer.from(body, "base64url").toString("utf8");
  const facts = preview.safeParse(jsonOrUndefined(text));
  if (!facts.success) return null;
  return nowMs / 1000 - facts.data.shownAt > LIFETIME_SECONDS ? null : facts.data;
}
