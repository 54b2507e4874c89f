// Freshly made customers, products, prices, coupons, promotion codes, cards and webhook endpoints, with every field of
// the real API.
import type {
  Coupon,
  Customer,
  Metadata,
  PaymentMethod,
  Price,
  Product,
  PromotionCode,
  Recurring,
  WebhookEndpoint,
} from "./types.ts";

export const EMPTY_ADDRESS = {
  city: null,
  country: null,
  line1: null,
  line2: null,
  postal_code: null,
  state: null,
};

/** A new customer; `created` in unix seconds. */
export function newCustomer(
  id: string,
  created: number,
  given: {
    email?: string;
    name?: string;
    phone?: string;
    description?: string;
    metadata: Metadata;
  },
): Customer {
  return {
    id,
    object: "customer",
    address: null,
    balance: 0,
    created,
    currency: null,
    customer_account: null,
    default_source: null,
    delinquent: false,
    description: given.description ?? null,
    discount: null,
    email: given.email ?? null,
    invoice_prefix: id.slice(-8).toUpperCase(),
    invoice_settings: {
      custom_fields: null,
      default_payment_method: null,
      footer: null,
      rendering_options: null,
    },
    livemode: false,
    metadata: given.metadata,
    name: given.name ?? null,
    next_invoice_sequence: 1,
    phone: given.phone ?? null,
    preferred_locales: [],
    shipping: null,
    tax_exempt: "none",
    test_clock: null,
  };
}

/** A new product; `created` in unix seconds. */
export function newProduct(
  id: string,
  created: number,
  given: { name: string; description?: string; metadata: Metadata; active?: boolean },
): Product {
  return {
    id,
    object: "product",
    active: given.active ?? true,
    created,
    default_price: null,
    description: given.description ?? null,
    images: [],
    livemode: false,
    marketing_features: [],
    metadata: given.metadata,
    name: given.name,
    package_dimensions: null,
    shippable: null,
    statement_descriptor: null,
    tax_code: null,
    tax_details: null,
    type: "service",
    unit_label: null,
    updated: created,
    url: null,
  };
}

/** A new price; `unitAmount` in minor units of `currency`. */
export function newPrice(
  id: string,
  created: number,
  given: {
    product: string;
    currency: string;
    unitAmount: number;
    recurring: Recurring | null;
    lookupKey?: string;
    nickname?: string;
    metadata: Metadata;
    active?: boolean;
  },
): Price {
  return {
    id,
    object: "price",
    active: given.active ?? true,
    billing_scheme: "per_unit",
    created,
    currency: given.currency,
    custom_unit_amount: null,
    livemode: false,
    lookup_key: given.lookupKey ?? null,
    metadata: given.metadata,
    nickname: given.nickname ?? null,
    product: given.product,
    recurring: given.recurring,
    tax_behavior: "unspecified",
    tiers_mode: null,
    transform_quantity: null,
    type: given.recurring === null ? "one_time" : "recurring",
    unit_amount: given.unitAmount,
    unit_amount_decimal: String(given.unitAmount),
  };
}

/** A new coupon; exactly one of `percentOff` and `amountOff` (minor units) is set. */
export function newCoupon(
  id: string,
  created: number,
  given: {
    percentOff: number | null;
    amountOff: number | null;
    currency: string | null;
    duration: Coupon["duration"];
    name: string | null;
    metadata: Metadata;
  },
): Coupon {
  return {
    id,
    object: "coupon",
    amount_off: given.amountOff,
    created,
    currency: given.currency,
    duration: given.duration,
    duration_in_months: null,
    livemode: false,
    max_redemptions: null,
    metadata: given.metadata,
    name: given.name,
    percent_off: given.percentOff,
    redeem_by: null,
    times_redeemed: 0,
    valid: true,
  };
}

/** A promotion code, which a person can enter at checkout for a coupon. */
export function newPromotionCode(
  id: string,
  created: number,
  given: { code: string; coupon: string; metadata: Metadata },
): PromotionCode {
  return {
    id,
    object: "promotion_code",
    active: true,
    code: given.code,
    created,
    customer: null,
    customer_account: null,
    expires_at: null,
    livemode: false,
    max_redemptions: null,
    metadata: given.metadata,
    promotion: { coupon: given.coupon, type: "coupon" },
    restrictions: {
      first_time_transaction: false,
      minimum_amount: null,
      minimum_amount_currency: null,
    },
    times_redeemed: 0,
  };
}

/** A saved test card. `last4` is 4242 for the working card, 0341 for the failing one. */
export function newCard(
  id: string,
  created: number,
  { customer, email, last4 }: { customer: string | null; email: string | null; last4: string },
): PaymentMethod {
  return {
    id,
    object: "payment_method",
    allow_redisplay: "limited",
    billing_details: { address: EMPTY_ADDRESS, email, name: null, phone: null, tax_id: null },
    card: {
      brand: "visa",
      checks: { address_line1_check: null, address_postal_code_check: null, cvc_check: "pass" },
      country: "US",
      display_brand: "visa",
      exp_month: 12,
      exp_year: 2034,
      fingerprint: "SandboxCard42424",
      funding: "credit",
      generated_from: null,
      last4,
      networks: { available: ["visa"], preferred: null },
      regulated_status: "unregulated",
      three_d_secure_usage: { supported: true },
      wallet: null,
    },
    created,
    customer,
    customer_account: null,
    livemode: false,
    metadata: {},
    type: "card",
  };
}

/** A webhook endpoint: where events are sent, and the secret that signs them. */
export function newWebhookEndpoint(
  id: string,
  created: number,
  given: { url: string; secret: string; enabledEvents: string[]; apiVersion: string },
): WebhookEndpoint {
  return {
    id,
    object: "webhook_endpoint",
    api_version: given.apiVersion,
    application: null,
    created,
    description: null,
    enabled_events: given.enabledEvents,
    livemode: false,
    metadata: {},
    secret: given.secret,
    status: "enabled",
    url: given.url,
  };
}
