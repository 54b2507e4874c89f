// The shapes of the Stripe stand-in's objects: fields that it reads or changes are typed, the rest is plain JSON.

export type Json =
  | string
  | number
  | boolean
  | null
  | undefined
  | Json[]
  | { [field: string]: Json };
export type Metadata = { [key: string]: string };

/** Any resource of the API. Fields that have no behaviour here are kept as plain JSON. */
export interface StripeObject {
  id: string;
  object: string;
  [field: string]: Json;
}

export interface Customer extends StripeObject {
  object: "customer";
  email: string | null;
  name: string | null;
  /** Minor units; negative is credit in the customer's favour. */
  balance: number;
  currency: string | null;
  created: number;
  delinquent: boolean;
  metadata: Metadata;
  next_invoice_sequence: number;
  invoice_prefix: string;
  invoice_settings: { [field: string]: Json };
}

export interface Product extends StripeObject {
  object: "product";
  name: string;
  description: string | null;
  active: boolean;
  created: number;
  updated: number;
  metadata: Metadata;
}

export type Recurring = {
  interval: "day" | "week" | "month" | "year";
  interval_count: number;
  meter: null;
  trial_period_days: null;
  usage_type: "licensed";
};

export interface Price extends StripeObject {
  object: "price";
  active: boolean;
  currency: string;
  created: number;
  lookup_key: string | null;
  nickname: string | null;
  metadata: Metadata;
  product: string;
  recurring: Recurring | null;
  type: "one_time" | "recurring";
  unit_amount: number;
}

export interface Coupon extends StripeObject {
  object: "coupon";
  percent_off: number | null;
  amount_off: number | null;
  currency: string | null;
  duration: "forever" | "once" | "repeating";
  name: string | null;
  times_redeemed: number;
  valid: boolean;
}

export interface PromotionCode extends StripeObject {
  object: "promotion_code";
  active: boolean;
  code: string;
  promotion: { coupon: string; type: "coupon" };
  times_redeemed: number;
}

export interface CheckoutLine extends StripeObject {
  object: "item";
  amount_discount: number;
  amount_subtotal: number;
  amount_total: number;
  currency: string;
  description: string;
  price: Price;
  quantity: number;
}

export interface CheckoutSession extends StripeObject {
  object: "checkout.session";
  amount_subtotal: number;
  amount_total: number;
  allow_promotion_codes: boolean | null;
  cancel_url: string | null;
  client_reference_id: string | null;
  created: number;
  currency: string;
  customer: string | null;
  customer_creation: string | null;
  customer_details: { [field: string]: Json } | null;
  customer_email: string | null;
  discounts: { coupon: string | null; promotion_code: string | null }[] | null;
  expires_at: number;
  invoice: string | null;
  metadata: Metadata;
  mode: "payment" | "subscription";
  payment_intent: string | null;
  payment_status: "paid" | "unpaid" | "no_payment_required";
  status: "open" | "complete" | "expired";
  subscription: string | null;
  success_url: string;
  total_details: { amount_discount: number; amount_shipping: number; amount_tax: number };
  url: string | null;
}

export interface PaymentIntent extends StripeObject {
  object: "payment_intent";
  amount: number;
  amount_received: number;
  canceled_at: number | null;
  created: number;
  currency: string;
  customer: string | null;
  description: string | null;
  last_payment_error: { [field: string]: Json } | null;
  latest_charge: string | null;
  metadata: Metadata;
  payment_method: string | null;
  status: "requires_payment_method" | "processing" | "succeeded" | "canceled";
}

export interface Charge extends StripeObject {
  object: "charge";
  amount: number;
  amount_captured: number;
  amount_refunded: number;
  balance_transaction: string | null;
  captured: boolean;
  created: number;
  currency: string;
  customer: string | null;
  disputed: boolean;
  failure_code: string | null;
  failure_message: string | null;
  metadata: Metadata;
  outcome: { [field: string]: Json } | null;
  paid: boolean;
  payment_intent: string;
  payment_method: string | null;
  receipt_url: string | null;
  refunded: boolean;
  status: "succeeded" | "pending" | "failed";
}

export interface Refund extends StripeObject {
  object: "refund";
  amount: number;
  charge: string;
  created: number;
  currency: string;
  metadata: Metadata;
  payment_intent: string;
  reason: string | null;
  status: "pending" | "succeeded" | "failed" | "canceled";
}

export interface Dispute extends StripeObject {
  object: "dispute";
  amount: number;
  charge: string;
  created: number;
  currency: string;
  is_charge_refundable: boolean;
  payment_intent: string;
  reason: string;
  status: string;
  balance_transactions: { [field: string]: Json }[];
}

export interface PaymentMethod extends StripeObject {
  object: "payment_method";
  customer: string | null;
  created: number;
}

export type Proration = "always_invoice" | "create_prorations" | "none";

/** What a portal page offers. A `products` of null means every active price. */
export type PortalFeatures = {
  customer_update: { allowed_updates: string[]; enabled: boolean };
  invoice_history: { enabled: boolean };
  payment_method_update: { enabled: boolean; payment_method_configuration: null };
  subscription_cancel: {
    cancellation_reason: { enabled: boolean; feedback_options: null; options: string[] };
    enabled: boolean;
    mode: "at_period_end" | "immediately";
    proration_behavior: Proration;
  };
  subscription_pause: {
    duration: { interval_options: Json[]; type: string };
    enabled: boolean;
  };
  subscription_update: {
    billing_cycle_anchor: "now" | "unchanged" | null;
    default_allowed_updates: string[];
    enabled: boolean;
    products:
      | {
          adjustable_quantity: { enabled: boolean; maximum: number | null; minimum: number };
          prices: string[];
          product: string;
        }[]
      | null;
    proration_behavior: Proration;
    schedule_at_period_end: { conditions: { type: string }[] };
    trial_update_behavior: "continue_trial" | "end_trial";
  };
};

export interface PortalConfiguration extends StripeObject {
  object: "billing_portal.configuration";
  active: boolean;
  business_profile: {
    headline: string | null;
    privacy_policy_url: string | null;
    terms_of_service_url: string | null;
  };
  created: number;
  default_return_url: string | null;
  features: PortalFeatures;
  is_default: boolean;
  metadata: Metadata;
  name: string | null;
  updated: number;
}

export interface PortalSession extends StripeObject {
  object: "billing_portal.session";
  configuration: string;
  customer: string;
  created: number;
  return_url: string | null;
  url: string;
}

export interface WebhookEndpoint extends StripeObject {
  object: "webhook_endpoint";
  url: string;
  enabled_events: string[];
  status: "enabled" | "disabled";
  created: number;
  /** The signing secret. The real API shows it only once, at creation. */
  secret: string;
}

export interface StripeEvent extends StripeObject {
  object: "event";
  created: number;
  data: { object: Json; previous_attributes?: Json };
  pending_webhooks: number;
  request: { id: string | null; idempotency_key: string | null };
  type: string;
}
