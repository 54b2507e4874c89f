// The subscriptions API: read, list, change, cancel.
import type { Call, Route } from "../api/route.ts";
import { cancelNow } from "./canceling.ts";
import { createdRange, page } from "../api/lists.ts";
import { followSubscription } from "./phases.ts";
import { endSubscription } from "./subscribing.ts";
import type { Json } from "../objects/types.ts";
import type { Subscription } from "../objects/types-billing.ts";
import { apiError, badParam, type Fields, mergeMetadata } from "../api/wire.ts";
import { announceTrialEndIfDue, readNewTrialEnd } from "./trials.ts";
import { applyChange, dropPending, type ItemChange, planChange, readItems } from "./updating.ts";
import { change, need, type World } from "../state/world.ts";

export const PRORATION_BEHAVIORS = ["always_invoice", "create_prorations", "none"] as const;
const PAYMENT_BEHAVIORS = [
  "allow_incomplete",
  "default_incomplete",
  "error_if_incomplete",
  "pending_if_incomplete",
] as const;

function readSubscription(world: World, id: string): Subscription {
  return need(world.tables.subscriptions, "subscription", id);
}

function cancelDetails(fields: Fields): { comment?: string | null; feedback?: string | null } {
  const given = fields.map("cancellation_details");
  const comment = given?.text("comment");
  const feedback = given?.text("feedback");
  given?.ignore("feedback_option");
  return {
    ...(comment === undefined ? {} : { comment: comment || null }),
    ...(feedback === undefined ? {} : { feedback: feedback || null }),
  };
}

/** Reads the parameters of an update. */
function readUpdate(fields: Fields, now: number) {
  const wishes = readItems(fields);
  const behavior = fields.oneOf("proration_behavior", PRORATION_BEHAVIORS) ?? "create_prorations";
  const payment = fields.oneOf("payment_behavior", PAYMENT_BEHAVIORS) ?? "allow_incomplete";
  const prorationDate = fields.int("proration_date");
  const anchor = fields.oneOf("billing_cycle_anchor", ["now", "unchanged"]);
  const trialEnd = readNewTrialEnd(fields, now);
  const atPeriodEnd = fields.bool("cancel_at_period_end");
  const cancelAtText = fields.text("cancel_at");
  const cancelAt = cancelAtText === "" ? null : fields.int("cancel_at");
  const metadata = fields.metadata();
  const method = fields.text("default_payment_method");
  const description = fields.text("description");
  const details = cancelDetails(fields);
  fields.ignore("off_session", "payment_settings", "collection_method", "trial_settings");
  fields.done();
  return {
    wishes,
    behavior,
    payment,
    prorationDate,
    resetAnchor: anchor === "now",
    trialEnd,
    atPeriodEnd,
    cancelAt,
    metadata,
    method,
    description,
    details,
  };
}

type Update = ReturnType<typeof readUpdate>;

/** Throws 400 when the subscription's state, or the combination of parameters, rules the update out. */
function checkUpdate(world: World, subscription: Subscription, update: Update): void {
  const { wishes, behavior, payment, atPeriodEnd, cancelAt, metadata, method } = update;
  if (typeof cancelAt === "number" && cancelAt <= world.billingNow()) {
    throw badParam("`cancel_at` must be in the future.", "cancel_at", "parameter_invalid");
  }
  if (subscription.schedule !== null && (atPeriodEnd !== undefined || cancelAt !== undefined)) {
    throw apiError({
      status: 400,
      type: "invalid_request_error",
      message: `The subscription is managed by the subscription schedule \`${subscription.schedule}\`, and updating any cancelation behavior directly is not allowed. Please update the schedule instead.`,
    });
  }
  if (payment === "pending_if_incomplete") {
    if (metadata !== undefined || atPeriodEnd !== undefined || method !== undefined) {
      throw badParam(
        "When `payment_behavior` is `pending_if_incomplete`, you can only update items and trial dates with it.",
        "payment_behavior",
        "parameter_unsupported",
      );
    }
    if (behavior !== "always_invoice" && wishes.length > 0) {
      throw badParam(
        "`proration_behavior` must be `always_invoice` when `payment_behavior` is `pending_if_incomplete`.",
        "proration_behavior",
        "parameter_unsupported",
      );
    }
  }
}

function updateSubscription({ world, ids, fields }: Call): Json {
  const subscription = readSubscription(world, ids[0] ?? "");
  const update = readUpdate(fields, world.billingNow());
  const { wishes, payment, metadata, method, description, details } = update;
  if (subscription.status === "canceled") {
    if (wishes.length > 0 || update.atPeriodEnd !== undefined) {
      throw badParam(
        "A canceled subscription can only update its cancellation_details and metadata.",
        "items",
        "invalid_canceled_subscription_fields",
      );
    }
    subscription.metadata = mergeMetadata(subscription.metadata, metadata);
    return subscription;
  }
  checkUpdate(world, subscription, update);
  const plan: ItemChange | undefined =
    wishes.length > 0 || update.resetAnchor || update.trialEnd !== undefined
      ? planChange(world, subscription, update)
      : undefined;
  if (plan !== undefined) dropPending(world, subscription);
  const now = world.billingNow();
  change(world, subscription, "customer.subscription.updated", (it) => {
    if (plan !== undefined) applyChange(world, it, plan, payment);
    it.metadata = mergeMetadata(it.metadata, metadata);
    if (method !== undefined) it.default_payment_method = method || null;
    if (description !== undefined) it.description = description || null;
    if (Object.keys(details).length > 0)
      it.cancellation_details = { ...it.cancellation_details, ...details };
    setCancellation(it, update.atPeriodEnd, update.cancelAt, now);
  });
  if (plan?.changed === true && subscription.pending_update === null)
    followSubscription(world, subscription);
  announceTrialEndIfDue(world, subscription);
  return subscription;
}

/** Schedules a subscription to end automatically, or reverts that. `cancelAt` is in unix seconds; null reverts. */
export function setCancellation(
  subscription: Subscription,
  atPeriodEnd: boolean | undefined,
  cancelAt: number | null | undefined,
  now: number,
): void {
  if (atPeriodEnd === undefined && cancelAt === undefined) return;
  const end = subscription.items.data[0]?.current_period_end ?? 0;
  if (atPeriodEnd === true) {
    subscription.cancel_at_period_end = true;
    subscription.cancel_at = end;
  } else if (typeof cancelAt === "number") {
    subscription.cancel_at_period_end = false;
    subscription.cancel_at = cancelAt;
  } else {
    subscription.cancel_at_period_end = false;
    subscription.cancel_at = null;
  }
  const ending = subscription.cancel_at !== null;
  subscription.canceled_at = ending ? (subscription.canceled_at ?? now) : null;
  subscription.cancellation_details = {
    ...subscription.cancellation_details,
    reason: ending ? "cancellation_requested" : null,
  };
}

function listSubscriptions({ world, fields }: Call): Json {
  const customer = fields.text("customer");
  const status = fields.text("status");
  const price = fields.text("price");
  const created = createdRange(fields);
  const keep = (it: Subscription): boolean =>
    (customer === undefined || it.customer === customer) &&
    // Canceled ones are left out unless requested, as at Stripe.
    (status === "all" ||
      (status === undefined
        ? it.status !== "canceled"
        : status === "ended"
          ? it.ended_at !== null
          : it.status === status)) &&
    (price === undefined || it.items.data.some((item) => item.price.id === price)) &&
    created(it.created);
  const out = page(fields, "/v1/subscriptions", world.tables.subscriptions.values(), keep);
  fields.done();
  return { ...out };
}

/** Deletes a customer, which ends their subscriptions immediately. Throws 404 when there is no such customer. */
export function removeCustomer(world: World, id: string): Json {
  const customer = need(world.tables.customers, "customer", id);
  for (const subscription of world.tables.subscriptions.values()) {
    if (subscription.customer === id && subscription.status !== "canceled") {
      endSubscription(world, subscription, "cancellation_requested");
    }
  }
  world.tables.customers.delete(id);
  world.hidden.deletedCustomers.add(id);
  world.emit("customer.deleted", customer);
  return { id, object: "customer", deleted: true };
}

/** Routes of this file. */
export const subscriptionRoutes: Route[] = [
  { method: "GET", path: "/v1/subscriptions", handle: listSubscriptions },
  {
    method: "GET",
    path: "/v1/subscriptions/:id",
    handle: ({ world, ids }) => readSubscription(world, ids[0] ?? ""),
  },
  { method: "POST", path: "/v1/subscriptions/:id", handle: updateSubscription },
  {
    method: "DELETE",
    path: "/v1/subscriptions/:id",
    handle: ({ world, ids, fields }) => {
      const subscription = readSubscription(world, ids[0] ?? "");
      const details = cancelDetails(fields);
      const prorate = fields.bool("prorate") ?? false;
      const invoiceNow = fields.bool("invoice_now") ?? false;
      fields.done();
      if (subscription.status === "canceled") {
        throw apiError({
          status: 404,
          type: "invalid_request_error",
          code: "resource_missing",
          message: `No such subscription: '${subscription.id}'`,
          param: "id",
        });
      }
      subscription.cancellation_details = { ...subscription.cancellation_details, ...details };
      cancelNow(world, subscription, { prorate, invoiceNow });
      return subscription;
    },
  },
  {
    method: "DELETE",
    path: "/v1/customers/:id",
    handle: ({ world, ids }) => removeCustomer(world, ids[0] ?? ""),
  },
];
