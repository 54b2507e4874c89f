// The subscription schedules API: create from a subscription, read, list, change phases, release, cancel.
import type { Call, Route } from "../api/route.ts";
import { createdRange, page } from "../api/lists.ts";
import { boundary } from "../state/period.ts";
import { closeSchedule, phaseOf } from "./phases.ts";
import { applyPhase } from "./scheduling.ts";
import { newPhase, newPhaseItem, newSchedule } from "../objects/new-schedule.ts";
import { ENDED, endSubscription } from "./subscribing.ts";
import { readPhaseTrial } from "./trials.ts";
import type { Json, Price, Recurring } from "../objects/types.ts";
import type {
  SchedulePhase,
  SchedulePhaseItem,
  Subscription,
  SubscriptionSchedule,
} from "../objects/types-billing.ts";
import { readPhaseDiscounts } from "../catalog/coupons.ts";
import { activePrice } from "../catalog/prices.ts";
import { apiError, type ApiError, badParam, type Fields, mergeMetadata } from "../api/wire.ts";
import { change, need, snapshot, type World } from "../state/world.ts";

const BEHAVIORS = ["always_invoice", "create_prorations", "none"] as const;
const ANCHORS = ["automatic", "phase_start"] as const;
const INTERVALS = ["day", "week", "month", "year"] as const;
const MAX_PHASES = 10;

function refusal(message: string, param?: string): ApiError {
  return apiError({ status: 400, type: "invalid_request_error", message, param });
}

function create({ world, fields }: Call): Json {
  const from = fields.text("from_subscription");
  if (from === undefined) {
    throw badParam(
      "The sandbox makes schedules of running subscriptions: pass `from_subscription`.",
      "from_subscription",
      "parameter_missing",
    );
  }
  for (const name of ["metadata", "phases", "end_behavior", "default_settings", "customer"]) {
    if (fields.has(name))
      throw refusal(`You cannot set \`${name}\` if \`from_subscription\` is set.`, name);
  }
  fields.done();
  const subscription = need(world.tables.subscriptions, "subscription", from, "from_subscription");
  if (ENDED.has(subscription.status)) {
    throw refusal(
      `You cannot migrate a subscription that is currently in the \`${subscription.status}\` status.`,
      "from_subscription",
    );
  }
  if (subscription.schedule !== null) {
    throw refusal(
      `You cannot migrate a subscription that is already attached to a schedule: \`${subscription.schedule}\`.`,
      "from_subscription",
    );
  }
  const schedule = newSchedule(world.newId("sub_sched"), world.billingNow(), {
    customer: subscription.customer,
    subscription: subscription.id,
    paymentMethod: subscription.default_payment_method,
    phase: phaseOf(subscription),
    endBehavior: subscription.cancel_at_period_end ? "cancel" : "release",
  });
  world.tables.schedules.set(schedule.id, schedule);
  world.emit("subscription_schedule.created", schedule);
  change(world, subscription, "customer.subscription.updated", (it) => {
    it.schedule = schedule.id;
  });
  return schedule;
}

function moment(fields: Fields, name: string, now: number): number | undefined {
  return fields.has(name) && fields.text(name) === "now" ? now : fields.int(name);
}

function readPhaseItems(
  world: World,
  fields: Fields,
  known: ReadonlySet<string>,
): { price: Price; recurring: Recurring; item: SchedulePhaseItem }[] {
  const items = fields.maps("items").map((item) => {
    item.ignore("tax_rates", "billing_thresholds", "discounts");
    const price = activePrice(world, item.needText("price"), item.param("price"), known);
    if (price.recurring === null) {
      throw refusal(
        "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.",
        item.param("price"),
      );
    }
    const metadata = mergeMetadata({}, item.metadata());
    return {
      price,
      recurring: price.recurring,
      item: newPhaseItem(price.id, item.int("quantity") ?? 1, metadata),
    };
  });
  if (items.length === 0) {
    throw badParam(
      `Missing required param: ${fields.param("items")}.`,
      fields.param("items"),
      "parameter_missing",
    );
  }
  return items;
}

/** When a phase ends: at the given date, after its duration, or after one interval of its first price. */
function readPhaseEnd(world: World, fields: Fields, start: number, recurring: Recurring): number {
  const duration = fields.map("duration");
  const set = moment(fields, "end_date", world.billingNow());
  if (duration !== undefined && set !== undefined) {
    throw refusal(
      "You may only specify one of these parameters: duration, end_date.",
      fields.param("duration"),
    );
  }
  const every = {
    ...recurring,
    ...(duration === undefined
      ? {}
      : {
          interval: duration.oneOf("interval", INTERVALS) ?? recurring.interval,
          interval_count: duration.int("interval_count") ?? 1,
        }),
  };
  const end = set ?? boundary(start, every, 1);
  if (end <= start) {
    throw refusal(
      "The phase's `end_date` must be after its `start_date`.",
      fields.param("end_date"),
    );
  }
  return end;
}

function readPhase(
  world: World,
  fields: Fields,
  given: { subscription: Subscription; start: number | undefined; known: ReadonlySet<string> },
): SchedulePhase {
  const items = readPhaseItems(world, fields, given.known);
  const { subscription } = given;
  const currency = fields.text("currency") ?? subscription.currency;
  if (items.some((it) => it.price.currency !== currency)) {
    throw refusal(
      `All prices on a phase must be in the currency of the subscription (${currency}).`,
      fields.param("items"),
    );
  }
  const start = moment(fields, "start_date", world.billingNow()) ?? given.start;
  const [first] = items;
  if (start === undefined || first === undefined) {
    throw refusal(
      "The subscription schedule update is missing at least one phase with a `start_date` to anchor end dates to.",
      "phases",
    );
  }
  const end = readPhaseEnd(world, fields, start, first.recurring);
  const phase = newPhase({
    currency,
    items: items.map((it) => it.item),
    start,
    end,
    discounts: readPhaseDiscounts(world, fields, subscription.discounts),
    trialEnd: readPhaseTrial(fields, end),
    metadata: mergeMetadata({}, fields.metadata()),
    proration: fields.oneOf("proration_behavior", BEHAVIORS),
    anchor: fields.oneOf("billing_cycle_anchor", ANCHORS),
  });
  fields.ignore(
    "collection_method",
    "default_payment_method",
    "description",
    "invoice_settings",
    "automatic_tax",
    "default_tax_rates",
    "add_invoice_items",
  );
  return phase;
}

/** The phases after an update. Past ones are kept, and the current one must keep its start. */
function readPhases(
  world: World,
  subscription: Subscription,
  schedule: SubscriptionSchedule,
  fields: Fields,
): SchedulePhase[] {
  const now = world.billingNow();
  const known = new Set(subscription.items.data.map((item) => item.price.id));
  const phases: SchedulePhase[] = [];
  for (const phase of fields.maps("phases")) {
    const start = phases.at(-1)?.end_date;
    const made = readPhase(world, phase, { subscription, start, known });
    if (start !== undefined && made.start_date !== start) {
      throw refusal(
        "The `start_date` of a phase must be the `end_date` of the one before it.",
        phase.param("start_date"),
      );
    }
    phases.push(made);
  }
  if (phases.length > MAX_PHASES)
    throw refusal(`You can only specify up to ${MAX_PHASES} phases.`, "phases");
  const past = schedule.phases.filter(
    (phase) => phase.end_date <= now && phase.start_date !== schedule.current_phase?.start_date,
  );
  const starts = new Set(past.map((phase) => phase.start_date));
  const rest = phases.filter((phase) => !starts.has(phase.start_date));
  if (rest[0]?.start_date !== schedule.current_phase?.start_date)
    throw refusal("You can not modify the start date of the current phase.", "phases");
  if ((rest[0]?.end_date ?? 0) < now)
    throw refusal("You can not end the current phase in the past.", "phases");
  return [...past, ...rest];
}

function running(world: World, id: string, action: string): SubscriptionSchedule {
  const schedule = need(world.tables.schedules, "subscription schedule", id);
  if (schedule.status !== "active" && schedule.status !== "not_started") {
    throw refusal(
      `You cannot ${action} a subscription schedule that is currently in the \`${schedule.status}\` status. It must be in \`not_started, active\` status to be ${action}${action.endsWith("e") ? "d" : "ed"}.`,
    );
  }
  return schedule;
}

function setEnd(world: World, subscription: Subscription, schedule: SubscriptionSchedule): void {
  const at = schedule.phases.at(-1)?.end_date ?? null;
  change(world, subscription, "customer.subscription.updated", (it) => {
    it.cancel_at_period_end = false;
    it.cancel_at = schedule.end_behavior === "cancel" ? at : null;
    it.canceled_at = it.cancel_at === null ? null : (it.canceled_at ?? world.billingNow());
  });
}

function update({ world, ids, fields }: Call): Json {
  const schedule = running(world, ids[0] ?? "", "update");
  const subscription = need(
    world.tables.subscriptions,
    "subscription",
    schedule.subscription ?? "",
  );
  const endBehavior = fields.oneOf("end_behavior", ["cancel", "release"]);
  const behavior = fields.oneOf("proration_behavior", BEHAVIORS) ?? "create_prorations";
  const metadata = fields.metadata();
  const phases = fields.has("phases")
    ? readPhases(world, subscription, schedule, fields)
    : undefined;
  fields.ignore("default_settings");
  fields.done();
  const before = snapshot(schedule);
  const start = schedule.current_phase?.start_date;
  if (phases !== undefined) schedule.phases = phases;
  schedule.metadata = mergeMetadata(schedule.metadata, metadata);
  if (endBehavior !== undefined) schedule.end_behavior = endBehavior;
  const current = schedule.phases.find((phase) => phase.start_date === start);
  if (current !== undefined) {
    schedule.current_phase = { end_date: current.end_date, start_date: current.start_date };
  }
  if (JSON.stringify(before) !== JSON.stringify(schedule))
    world.emit("subscription_schedule.updated", schedule, before);
  if (phases !== undefined && current !== undefined)
    applyPhase(world, subscription, current, behavior);
  if (endBehavior !== undefined || schedule.end_behavior === "cancel")
    setEnd(world, subscription, schedule);
  return schedule;
}

function release({ world, ids, fields }: Call): Json {
  const schedule = running(world, ids[0] ?? "", "release");
  const keep = fields.bool("preserve_cancel_date") ?? false;
  fields.done();
  const subscription = need(
    world.tables.subscriptions,
    "subscription",
    schedule.subscription ?? "",
  );
  change(world, subscription, "customer.subscription.updated", (it) => {
    closeSchedule(world, it, "released");
    if (keep || schedule.end_behavior !== "cancel") return;
    it.cancel_at_period_end = false;
    it.cancel_at = null;
    it.canceled_at = null;
  });
  return schedule;
}

function cancel({ world, ids, fields }: Call): Json {
  const schedule = running(world, ids[0] ?? "", "cancel");
  fields.ignore("invoice_now", "prorate");
  fields.done();
  const subscription = need(
    world.tables.subscriptions,
    "subscription",
    schedule.subscription ?? "",
  );
  endSubscription(world, subscription, "cancellation_requested");
  return schedule;
}

function listSchedules({ world, fields }: Call): Json {
  const customer = fields.text("customer");
  const scheduled = fields.bool("scheduled");
  const ranges = (["canceled_at", "completed_at", "released_at", "created"] as const).map(
    (name) => ({ name, given: fields.has(name), inside: createdRange(fields, name) }),
  );
  const out = page(
    fields,
    "/v1/subscription_schedules",
    world.tables.schedules.values(),
    (it) =>
      (customer === undefined || it.customer === customer) &&
      (scheduled === undefined || (it.status === "not_started") === scheduled) &&
      ranges.every(({ name, given, inside }) => {
        const at = it[name];
        return !given || (at !== null && inside(at));
      }),
  );
  fields.done();
  return { ...out };
}

/** Routes of this file. */
export const scheduleRoutes: Route[] = [
  { method: "POST", path: "/v1/subscription_schedules", handle: create },
  { method: "GET", path: "/v1/subscription_schedules", handle: listSchedules },
  {
    method: "GET",
    path: "/v1/subscription_schedules/:id",
    handle: ({ world, ids }) => need(world.tables.schedules, "subscription schedule", ids[0] ?? ""),
  },
  { method: "POST", path: "/v1/subscription_schedules/:id", handle: update },
  { method: "POST", path: "/v1/subscription_schedules/:id/release", handle: release },
  { method: "POST", path: "/v1/subscription_schedules/:id/cancel", handle: cancel },
];
