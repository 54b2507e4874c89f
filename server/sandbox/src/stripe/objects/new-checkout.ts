// Freshly made checkout sessions and their lines, with every field of the real API.
import type { CheckoutLine, CheckoutSession, Price } from "./types.ts";

/** One line of a checkout session. */
export function newCheckoutLine(
  id: string,
  given: {
    price: Price;
    quantity: number;
    description: string;
    discountAmount: number;
    /** True when nothing is due today, because the subscription starts with a trial. */
    isFree?: boolean;
  },
): CheckoutLine {
  const subtotal = given.isFree === true ? 0 : given.price.unit_amount * given.quantity;
  return {
    id,
    object: "item",
    adjustable_quantity: null,
    amount_discount: given.discountAmount,
    amount_subtotal: subtotal,
    amount_tax: 0,
    amount_total: subtotal - given.discountAmount,
    currency: given.price.currency,
    description: given.description,
    metadata: {},
    // A copy of the price as it was when the session was created.
    price: structuredClone(given.price),
    quantity: given.quantity,
  };
}

export type NewSession = Pick<
  CheckoutSession,
  | "mode"
  | "currency"
  | "amount_subtotal"
  | "amount_total"
  | "customer"
  | "customer_email"
  | "client_reference_id"
  | "metadata"
  | "success_url"
  | "cancel_url"
  | "expires_at"
  | "allow_promotion_codes"
  | "discounts"
  | "url"
> & { customer_creation: string | null; locale: string | null };

/** The fields of a checkout session that start out empty. */
function blankSession() {
  return {
    adaptive_pricing: { enabled: false },
    after_expiration: null,
    allowed_payment_method_types: null,
    automatic_tax: { enabled: false, liability: null, provider: null, status: null },
    billing_address_collection: null,
    client_secret: null,
    collected_information: null,
    consent: null,
    consent_collection: null,
    currency_conversion: null,
    custom_fields: [],
    custom_text: {
      after_submit: null,
      shipping_address: null,
      submit: null,
      terms_of_service_acceptance: null,
    },
    customer_account: null,
    customer_details: null,
    integration_identifier: null,
    invoice: null,
    livemode: false,
    managed_payments: { enabled: false },
    origin_context: null,
    payment_intent: null,
    payment_link: null,
    payment_method_configuration_details: null,
    permissions: null,
    phone_number_collection: { enabled: false },
    recovered_from: null,
    setup_intent: null,
    shipping_address_collection: null,
    shipping_cost: null,
    shipping_options: [],
    submit_type: null,
    subscription: null,
    wallet_options: null,
  };
}

/** A new open checkout session; times in unix seconds, amounts in minor units. */
export function newSession(id: string, created: number, given: NewSession): CheckoutSession {
  return {
    id,
    object: "checkout.session",
    ...blankSession(),
    allow_promotion_codes: given.allow_promotion_codes,
    amount_subtotal: given.amount_subtotal,
    amount_total: given.amount_total,
    cancel_url: given.cancel_url,
    client_reference_id: given.client_reference_id,
    created,
    currency: given.currency,
    customer: given.customer,
    customer_creation: given.customer_creation,
    customer_email: given.customer_email,
    discounts: given.discounts,
    expires_at: given.expires_at,
    invoice_creation:
      given.mode === "payment"
        ? {
            enabled: false,
            invoice_data: {
              account_tax_ids: null,
              custom_fields: null,
              description: null,
              footer: null,
              issuer: null,
              metadata: {},
              rendering_options: null,
            },
          }
        : null,
    locale: given.locale,
    metadata: given.metadata,
    mode: given.mode,
    payment_method_collection: given.mode === "subscription" ? "always" : "if_required",
    payment_method_options: { card: { request_three_d_secure: "automatic" } },
    payment_method_types: ["card"],
    payment_status: "unpaid",
    saved_payment_method_options:
      given.mode === "subscription"
        ? {
            allow_redisplay_filters: ["always"],
            payment_method_remove: "disabled",
            payment_method_save: null,
          }
        : null,
    status: "open",
    success_url: given.success_url,
    total_details: {
      amount_discount: given.amount_subtotal - given.amount_total,
      amount_shipping: 0,
      amount_tax: 0,
    },
    ui_mode: "hosted_page",
    url: given.url,
  };
}
