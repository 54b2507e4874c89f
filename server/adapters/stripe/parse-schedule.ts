// Reads Stripe's subscription schedules.
import type { PhaseTerms, StripeSchedule } from "../../payment/stripe/schedule.ts";
import { malformed } from "./calls.ts";
import {
  date,
  idOrNull,
  integerOrNull,
  objectOf,
  own,
  resource,
  text,
  textOrNull,
} from "./parse.ts";

/** Without `add_invoice_items` and `billing_cycle_anchor`: they apply to the start of a phase, which has passed. */
const PHASE_TERMS = `
  application_fee_percent automatic_tax billing_thresholds collection_method default_payment_method
  default_tax_rates description invoice_settings metadata on_behalf_of transfer_data
`
  .trim()
  .split(/\s+/);
const ITEM_TERMS = ["billing_thresholds", "metadata", "tax_rates"];
/** Present in responses, not allowed in requests. */
const READ_ONLY = "disabled_reason";

/** Converts a response value to request form: objects become their ids, unset values are left out. */
function asParam(value: unknown): unknown {
  if (typeof value !== "object") return value;
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(asParam);
  if (value === null) return undefined;
  const raw = objectOf(value, "term");
  if (typeof own(raw, "object") === "string") return text(raw, "id");
  return termsOf(raw, Object.keys(raw));
}

/** Returns undefined when none of them is set. */
function termsOf(raw: Readonly<Record<string, unknown>>, names: readonly string[]) {
  const terms = names
    .filter((name) => name !== READ_ONLY)
    .map((name) => [name, asParam(own(raw, name))] as const)
    .filter(([, value]) => value !== undefined);
  return terms.length === 0 ? undefined : (Object.fromEntries(terms) as PhaseTerms);
}

export function readSchedule(value: unknown): StripeSchedule {
  const raw = resource(value, "subscription_schedule");
  const status = text(raw, "status");
  const phases = own(raw, "phases");
  if (!Array.isArray(phases)) throw malformed("phases");
  const current = own(raw, "current_phase") ?? null;
  return {
    id: text(raw, "id"),
    subscriptionId: idOrNull(raw, "subscription") ?? textOrNull(raw, "released_subscription"),
    isRunning: status === "active" || status === "not_started",
    currentStart: current === null ? null : date(objectOf(current, "current phase"), "start_date"),
    endsSubscription: own(raw, "end_behavior") === "cancel",
    phases: phases.map((value) => {
      const phase = objectOf(value, "phase");
      const items = own(phase, "items");
      if (!Array.isArray(items)) throw malformed("phase items");
      return {
        startsAt: date(phase, "start_date"),
        items: items.map((it) => {
          const item = objectOf(it, "phase item");
          const priceId = idOrNull(item, "price");
          if (priceId === null) throw malformed("phase item price");
          const quantity = integerOrNull(item, "quantity") ?? 1;
          return { priceId, quantity, terms: termsOf(item, ITEM_TERMS) ?? {} };
        }),
        terms: termsOf(phase, PHASE_TERMS) ?? {},
      };
    }),
  };
}
