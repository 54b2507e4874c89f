// Owns the preview token: what a person was shown before changing the plan, signed, for ten minutes.
import { createHmac, timingSafeEqual } from "node:crypto";
import { z } from "zod";

/** How long a shown price holds. */
const LIFETIME_SECONDS = 600;

const shown = z.strictObject({
  user: z.string(),
  subscription: z.string(),
  fromPrice: z.string(),
  plan: z.string(),
  amountDue: z.int(),
  currency: z.string(),
  /** Unix seconds: Stripe prorates to this moment, so the amount stays what was shown. */
  prorationAt: z.int(),
  /** Unix seconds by this server's clock. */
  shownAt: z.int(),
});

/** What was shown. Money in minor units. */
export type Shown = z.output<typeof shown>;

// The label keeps a preview from ever standing in for another thing signed with the same secret.
function mac(secret: string, body: string): Buffer {
  const key = createHmac("sha256", secret).update("skywork plan change preview v1").digest();
  return createHmac("sha256", key).update(body).digest();
}

/** Signs what is shown with the first of `secrets`. */
export function signPreview(facts: Shown, secrets: readonly string[]): string {
  const body = Buffer.from(JSON.stringify(facts)).toString("base64url");
  return `${body}.${mac(secrets[0] ?? "", body).toString("base64url")}`;
}

/** What the token says; null when it is forged, damaged or too old. */
export function readPreview(
  token: string,
  secrets: readonly string[],
  nowMs: number,
): Shown | null {
  const [body, signature, ...more] = token.split(".");
  if (body === undefined || signature === undefined || more.length > 0) return null;
  const given = Buffer.from(signature, "base64url");
  const genuine = secrets.some((secret) => {
    const expected = mac(secret, body);
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
  if (!genuine || secrets.length === 0) return null;
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(body, "base64url").toString("utf8"));
  } catch {
    return null;
  }
  const facts = shown.safeParse(parsed);
  if (!facts.success) return null;
  return nowMs / 1000 - facts.data.shownAt > LIFETIME_SECONDS ? null : facts.data;
}
