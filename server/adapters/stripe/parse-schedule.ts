// Reads Stripe's subscription schedules.
import type { StripeSchedule } from "../../payment/stripe/port.ts";
import { malformed } from "./calls.ts";
import {
  date,
  dateOrNull,
  idOrNull,
  integerOrNull,
  objectOf,
  own,
  resource,
  text,
  textOrNull,
} from "./parse.ts";

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
        endsAt: dateOrNull(phase, "end_date"),
        items: items.map((it) => {
          const item = objectOf(it, "phase item");
          const priceId = idOrNull(item, "price");
          if (priceId === null) throw malformed("phase item price");
          return { priceId, quantity: integerOrNull(item, "quantity") ?? 1 };
        }),
      };
    }),
  };
}
