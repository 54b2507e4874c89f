// Explains a failed Stripe call to an operator: which call, what Stripe said, and what to do about it.
import type { StripeRefusal } from "./errors.ts";

const KEYS = "https://dashboard.stripe.com/apikeys";
const PORTAL = "https://dashboard.stripe.com/settings/billing/portal";

function adviceOn(refusal: StripeRefusal): string | null {
  const { statusCode, detail, call } = refusal;
  if (statusCode === 401)
    return `STRIPE_SECRET_KEY is wrong, expired or revoked: copy the key from ${KEYS}.`;
  if (statusCode === 403)
    return `The key has no permission for ${call}: give the restricted key that permission at ${KEYS}, or use a secret key.`;
  if (call.startsWith("billingPortal.") && refusal.refusal === "invalid")
    return `Save the customer portal's settings once at ${PORTAL} (with a test key: ${PORTAL.replace(".com/", ".com/test/")}).`;
  if (/\bcurrenc(y|ies)\b/i.test(detail) && refusal.refusal === "invalid")
    return "Stripe allows one currency per customer, and a customer who has paid keeps theirs: sell packages and plans in one currency, or end what the customer has in the other one first.";
  if (/exists in (live|test) mode/i.test(detail))
    return "STRIPE_SECRET_KEY is of the other mode: use the key of the mode in which the object was made.";
  if (refusal.refusal === "missing")
    return "Check that STRIPE_SECRET_KEY belongs to the account and the mode in which the object was made.";
  if (statusCode === 404)
    return "STRIPE_API_BASE does not lead to Stripe's API: unset it, or correct it.";
  if (refusal.refusal === "unavailable")
    return "Check that this machine reaches https://api.stripe.com (or what STRIPE_API_BASE names) and see https://status.stripe.com. Without STRIPE_SECRET_KEY the stand-in of `npm run dev` is asked: start it. Repeating is safe.";
  return null;
}

/** Returns the call, Stripe's own words and what to do about it. For operators only. */
export function explainRefusal(refusal: StripeRefusal): string {
  const words = refusal.detail.replace(/\s+/g, " ").trim().replace(/\.$/, "");
  const advice = adviceOn(refusal);
  return `Stripe, ${refusal.call}: ${words}.${advice === null ? "" : ` ${advice}`}`;
}
