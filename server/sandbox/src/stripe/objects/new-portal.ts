// Freshly made portal configurations and sessions, with every field of the real API.
import type { Metadata, PortalConfiguration, PortalFeatures, PortalSession } from "./types.ts";

/** A configuration that offers nothing. */
export const NO_FEATURES: PortalFeatures = {
  customer_update: { allowed_updates: [], enabled: false },
  invoice_history: { enabled: false },
  payment_method_update: { enabled: false, payment_method_configuration: null },
  subscription_cancel: {
    cancellation_reason: {
      enabled: false,
      feedback_options: null,
      options: ["too_expensive", "missing_features", "switched_service", "unused", "other"],
    },
    enabled: false,
    mode: "at_period_end",
    proration_behavior: "none",
  },
  subscription_pause: {
    duration: { interval_options: [], type: "indefinite" },
    enabled: false,
  },
  subscription_update: {
    billing_cycle_anchor: null,
    default_allowed_updates: [],
    enabled: false,
    products: [],
    proration_behavior: "none",
    schedule_at_period_end: { conditions: [] },
    trial_update_behavior: "end_trial",
  },
};

/** What a merchant gets by saving the portal's settings with plan switching on, as many do. */
export const SAVED_FEATURES: PortalFeatures = {
  ...NO_FEATURES,
  customer_update: { allowed_updates: ["email", "address", "tax_id"], enabled: true },
  invoice_history: { enabled: true },
  payment_method_update: { enabled: true, payment_method_configuration: null },
  subscription_cancel: { ...NO_FEATURES.subscription_cancel, enabled: true },
  subscription_update: {
    ...NO_FEATURES.subscription_update,
    default_allowed_updates: ["price", "quantity", "promotion_code"],
    enabled: true,
    // Null means every active price. At Stripe, the merchant picks the prices by hand.
    products: null,
    proration_behavior: "always_invoice",
  },
};

/** A new portal configuration. */
export function newPortalConfiguration(
  id: string,
  created: number,
  given: {
    features: PortalFeatures;
    isDefault?: boolean;
    businessProfile?: PortalConfiguration["business_profile"];
    returnUrl?: string | null;
    metadata?: Metadata;
    name?: string | null;
  },
): PortalConfiguration {
  return {
    id,
    object: "billing_portal.configuration",
    active: true,
    application: null,
    business_profile: given.businessProfile ?? {
      headline: null,
      privacy_policy_url: null,
      terms_of_service_url: null,
    },
    created,
    default_return_url: given.returnUrl ?? null,
    features: structuredClone(given.features),
    is_default: given.isDefault ?? false,
    livemode: false,
    login_page: { enabled: false, url: null },
    metadata: given.metadata ?? {},
    name: given.name ?? null,
    updated: created,
  };
}

/** A new portal session. */
export function newPortalSession(
  id: string,
  created: number,
  given: {
    customer: string;
    configuration: string;
    returnUrl: string | null;
    locale: string | null;
    url: string;
  },
): PortalSession {
  return {
    id,
    object: "billing_portal.session",
    configuration: given.configuration,
    created,
    customer: given.customer,
    customer_account: null,
    flow: null,
    livemode: false,
    locale: given.locale,
    on_behalf_of: null,
    return_url: given.returnUrl,
    url: given.url,
  };
}
