// Freshly made subscription schedules and their phases, with every field of the real API.
import type { Metadata } from "./types.ts";
import type {
  PhaseDiscount,
  SchedulePhase,
  SchedulePhaseItem,
  SubscriptionSchedule,
} from "./types-billing.ts";

const SETTINGS = {
  application_fee_percent: null,
  automatic_tax: { disabled_reason: null, enabled: false, liability: null },
  billing_cycle_anchor: "automatic",
  billing_thresholds: null,
  collection_method: "charge_automatically",
  description: null,
  invoice_settings: {
    account_tax_ids: null,
    custom_fields: null,
    days_until_due: null,
    description: null,
    footer: null,
    issuer: { type: "self" },
  },
  on_behalf_of: null,
  transfer_data: null,
};

/** One item of a phase. */
export function newPhaseItem(
  price: string,
  quantity: number,
  metadata: Metadata = {},
): SchedulePhaseItem {
  return {
    billing_thresholds: null,
    discounts: [],
    metadata,
    plan: price,
    price,
    quantity,
    tax_rates: [],
  };
}

/** One phase; dates in unix seconds. */
export function newPhase(given: {
  currency: string;
  items: SchedulePhaseItem[];
  start: number;
  end: number;
  discounts: PhaseDiscount[];
  metadata?: Metadata;
  proration?: SchedulePhase["proration_behavior"];
  anchor?: SchedulePhase["billing_cycle_anchor"];
  trialEnd?: number | null;
}): SchedulePhase {
  return {
    add_invoice_items: [],
    application_fee_percent: null,
    billing_cycle_anchor: given.anchor ?? null,
    billing_thresholds: null,
    collection_method: null,
    currency: given.currency,
    default_payment_method: null,
    default_tax_rates: [],
    description: null,
    discounts: given.discounts,
    end_date: given.end,
    invoice_settings: null,
    items: given.items,
    metadata: given.metadata ?? {},
    on_behalf_of: null,
    proration_behavior: given.proration ?? "create_prorations",
    start_date: given.start,
    transfer_data: null,
    trial_end: given.trialEnd ?? null,
  };
}

/** A schedule that has taken over a running subscription. */
export function newSchedule(
  id: string,
  created: number,
  given: {
    customer: string;
    subscription: string;
    paymentMethod: string | null;
    phase: SchedulePhase;
    endBehavior: SubscriptionSchedule["end_behavior"];
  },
): SubscriptionSchedule {
  return {
    id,
    object: "subscription_schedule",
    application: null,
    billing_mode: { flexible: null, type: "classic" },
    canceled_at: null,
    completed_at: null,
    created,
    current_phase: { end_date: given.phase.end_date, start_date: given.phase.start_date },
    customer: given.customer,
    customer_account: null,
    default_settings: { ...SETTINGS, default_payment_method: given.paymentMethod },
    end_behavior: given.endBehavior,
    livemode: false,
    metadata: {},
    pause_schedules: [],
    phases: [given.phase],
    released_at: null,
    released_subscription: null,
    status: "active",
    subscription: given.subscription,
    test_clock: null,
  };
}
