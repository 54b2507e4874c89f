// An operator is told which Stripe call failed, why, and what to do.
import { expect, test } from "vitest";
import { explainRefusal } from "../../../server/payment/stripe/advice.ts";
import type { StripeRefusal } from "../../../server/payment/stripe/errors.ts";

const refusal = (given: Partial<StripeRefusal>): StripeRefusal => ({
  refusal: "invalid",
  call: "prices.create",
  detail: "StripeInvalidRequestError 400 No.",
  statusCode: 400,
  stripeCode: null,
  param: null,
  requestId: null,
  replayed: false,
  attempts: 1,
  ...given,
});

test.each([
  [
    "the key is wrong",
    { refusal: "forbidden", statusCode: 401, detail: "Invalid API Key provided" },
    ["prices.create", "Invalid API Key", "STRIPE_SECRET_KEY", "dashboard.stripe.com/apikeys"],
  ],
  [
    "the restricted key lacks a permission",
    { refusal: "forbidden", statusCode: 403 },
    ["permission for prices.create", "dashboard.stripe.com/apikeys"],
  ],
  [
    "the portal's settings were never saved",
    {
      call: "billingPortal.sessions.create",
      detail:
        "StripeInvalidRequestError 400 You can’t create a portal session in test mode until you save your customer portal settings in test mode.",
    },
    ["billingPortal.sessions.create", "Save the customer portal", "test/settings/billing/portal"],
  ],
  [
    "currencies are mixed",
    {
      call: "checkout.sessions.create",
      detail:
        "StripeInvalidRequestError 400 You cannot combine currencies on a single customer. This customer has an active subscription with currency usd.",
    },
    ["checkout.sessions.create", "one currency per customer"],
  ],
  [
    "the key is of the other mode",
    {
      refusal: "missing",
      detail:
        "No such price: 'price_1'; a similar object exists in live mode, but a test mode key was used to make this request.",
    },
    ["the other mode"],
  ],
  ["the object is unknown", { refusal: "missing", statusCode: 404 }, ["account and the mode"]],
  ["the URL is not Stripe's", { refusal: "unavailable", statusCode: 404 }, ["STRIPE_API_BASE"]],
  [
    "nobody answers",
    { refusal: "unavailable", statusCode: null, detail: "An error occurred with our connection" },
    ["or what STRIPE_API_BASE names", "npm run dev", "status.stripe.com"],
  ],
] as const)("tells the call and what to do when %s", (_when, given, parts) => {
  const text = explainRefusal(refusal(given));
  for (const part of parts) expect(text).toContain(part);
  expect(text).not.toContain("\n");
});
