// The actions of the billing portal, limited to what the session's configuration offers.
import { cancelNow } from "../billing/canceling.ts";
import { closeSchedule, phaseOf } from "../billing/phases.ts";
import { boundary } from "../state/period.ts";
import { newPhase, newPhaseItem, newSchedule } from "../objects/new-schedule.ts";
import { collect } from "../billing/subscribing.ts";
import { setCancellation } from "../billing/subscriptions.ts";
import type { Customer, PortalFeatures, Price } from "../objects/types.ts";
import type { Subscription } from "../objects/types-billing.ts";
import { applyChange, dropPending, planChange } from "../billing/updating.ts";
import { isApiError } from "../api/wire.ts";
import { change, type World } from "../state/world.ts";

const NOT_OFFERED = { status: 403, message: "This page does not offer that." };
const SHOWN_PLANS = 20;

/** Why an action failed. */
export type PortalProblem = { status: number; message: string };

/** The prices a subscription may be switched to. */
export function offeredPrices(
  world: World,
  features: PortalFeatures,
  subscription: Subscription,
): Price[] {
  const update = features.subscription_update;
  if (!update.enabled || !update.default_allowed_updates.includes("price")) return [];
  const listed = update.products && new Set(update.products.flatMap((it) => it.prices));
  const current = new Set(subscription.items.data.map((item) => item.price.id));
  return [...world.tables.prices.values()]
    .filter(
      (price) =>
        price.active &&
        price.recurring !== null &&
        !current.has(price.id) &&
        price.currency === subscription.currency &&
        (listed === null || listed.has(price.id)),
    )
    .slice(-SHOWN_PLANS);
}

/** Whether the quantity may be changed. */
export function offersQuantity(features: PortalFeatures): boolean {
  const update = features.subscription_update;
  return update.enabled && update.default_allowed_updates.includes("quantity");
}

/** Releases the schedule, because the customer's own change replaces it, as in the real portal. */
function dropSchedule(world: World, subscription: Subscription): void {
  if (subscription.schedule === null) return;
  change(world, subscription, "customer.subscription.updated", (it) => {
    closeSchedule(world, it, "released");
    it.cancel_at = null;
    it.canceled_at = null;
  });
}

function cancelOrResume(
  world: World,
  features: PortalFeatures,
  subscription: Subscription,
  cancel: boolean,
): PortalProblem | null {
  const settings = features.subscription_cancel;
  if (!settings.enabled) return NOT_OFFERED;
  if (cancel && settings.mode === "immediately") {
    cancelNow(world, subscription, {
      prorate: settings.proration_behavior !== "none",
      invoiceNow: settings.proration_behavior === "always_invoice",
    });
    return null;
  }
  if (cancel) dropSchedule(world, subscription);
  change(world, subscription, "customer.subscription.updated", (it) =>
    setCancellation(it, cancel, undefined, world.billingNow()),
  );
  return null;
}

/** Whether the configuration defers this change to the end of the period. */
function waits(
  features: PortalFeatures,
  from: Price,
  to: Price,
  amounts: [number, number],
): boolean {
  const conditions = features.subscription_update.schedule_at_period_end.conditions.map(
    (it) => it.type,
  );
  const days = (price: Price): number => {
    const { recurring } = price;
    return recurring === null ? 0 : boundary(0, recurring, 1);
  };
  return (
    (conditions.includes("decreasing_item_amount") && amounts[1] < amounts[0]) ||
    (conditions.includes("shortening_interval") && days(to) < days(from))
  );
}

function scheduleChange(
  world: World,
  subscription: Subscription,
  price: Price,
  quantity: number,
): void {
  dropSchedule(world, subscription);
  const current = phaseOf(subscription);
  const schedule = newSchedule(world.newId("sub_sched"), world.billingNow(), {
    customer: subscription.customer,
    subscription: subscription.id,
    paymentMethod: subscription.default_payment_method,
    phase: current,
    endBehavior: "release",
  });
  if (price.recurring === null) return;
  schedule.phases.push(
    newPhase({
      currency: price.currency,
      items: [newPhaseItem(price.id, quantity)],
      discounts: current.discounts,
      start: current.end_date,
      end: boundary(current.end_date, price.recurring, 1),
      proration: "none",
    }),
  );
  world.tables.schedules.set(schedule.id, schedule);
  world.emit("subscription_schedule.created", schedule);
  change(world, subscription, "customer.subscription.updated", (it) => {
    it.schedule = schedule.id;
  });
}

function switchPlan(
  world: World,
  features: PortalFeatures,
  subscription: Subscription,
  wanted: { price?: string; quantity?: number },
): PortalProblem | null {
  const [item] = subscription.items.data;
  if (item === undefined) return NOT_OFFERED;
  const price =
    wanted.price === undefined
      ? item.price
      : offeredPrices(world, features, subscription).find((it) => it.id === wanted.price);
  const quantity = wanted.quantity ?? item.quantity;
  if (price === undefined) return NOT_OFFERED;
  if (wanted.quantity !== undefined && (!offersQuantity(features) || !(quantity >= 1)))
    return NOT_OFFERED;
  const amounts: [number, number] = [
    item.price.unit_amount * item.quantity,
    price.unit_amount * quantity,
  ];
  if (waits(features, item.price, price, amounts)) {
    scheduleChange(world, subscription, price, quantity);
    return null;
  }
  try {
    const plan = planChange(world, subscription, {
      wishes: [
        {
          id: item.id,
          price: wanted.price,
          quantity,
          deleted: false,
          metadata: undefined,
        },
      ],
      behavior: features.subscription_update.proration_behavior,
      prorationDate: undefined,
      resetAnchor: features.subscription_update.billing_cycle_anchor === "now",
    });
    dropSchedule(world, subscription);
    dropPending(world, subscription);
    change(world, subscription, "customer.subscription.updated", (it) =>
      applyChange(world, it, plan, "error_if_incomplete"),
    );
    return null;
  } catch (error) {
    if (isApiError(error)) return { status: 402, message: error.message };
    throw error;
  }
}

/** Carries out the form `name` of the portal page. Returns null on success, or when there was nothing to do. */
export function actInPortal(
  world: World,
  customer: Customer,
  features: PortalFeatures,
  given: { name: string; form: URLSearchParams },
): PortalProblem | null {
  const { name, form } = given;
  const found = world.tables.subscriptions.get(form.get("subscription") ?? "");
  const subscription =
    found?.customer === customer.id && found.status !== "canceled" ? found : undefined;
  if (name === "card") {
    if (!features.payment_method_update.enabled) return NOT_OFFERED;
    if (form.get("card") === "failing") world.hidden.failingCards.add(customer.id);
    else world.hidden.failingCards.delete(customer.id);
    return null;
  }
  if (name === "pay") {
    const invoice = world.tables.invoices.get(form.get("invoice") ?? "");
    if (invoice?.customer !== customer.id || invoice.status !== "open") return null;
    return collect(world, invoice) ? null : { status: 402, message: "Your card was declined." };
  }
  if (subscription === undefined) return null;
  switch (name) {
    case "cancel":
    case "resume":
      return cancelOrResume(world, features, subscription, name === "cancel");
    case "switch":
      return switchPlan(world, features, subscription, {
        price: form.get("price") ?? "",
        ...(form.has("quantity") ? { quantity: Number(form.get("quantity")) } : {}),
      });
    case "quantity":
      return switchPlan(world, features, subscription, { quantity: Number(form.get("quantity")) });
    default:
      return null;
  }
}
