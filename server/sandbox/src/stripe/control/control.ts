// The typed in-process controls of the Stripe stand-in: what a test or a person can make happen.
import { expireIfDue, expireSession, paySession, settleSession } from "../checkout/paying.ts";
import { successUrl } from "../checkout/page.ts";
import type { Deliverer, DeliveryMisbehaviour } from "../events/delivery.ts";
import { WELL_BEHAVED } from "../events/delivery.ts";
import { closeDispute, openDispute } from "../payments/disputes.ts";
import type { EventLog } from "../events/events.ts";
import { createMerchant, type MerchantControl } from "./merchant.ts";
import type { ApiRule, Misbehaviour } from "../api/misbehaviour.ts";
import { boundary } from "../state/period.ts";
import { savePortalSettings } from "../portal/configurations.ts";
import {
  chargeOf,
  createRefund,
  failRefund,
  type RefundOutcome,
  succeedRefund,
} from "../payments/refunds.ts";
import { runBillingUntil } from "../billing/billing-clock.ts";
import { collect, endSubscription } from "../billing/subscribing.ts";
import { badParam } from "../api/wire.ts";
import type { PaymentOutcome } from "../payments/payments.ts";
import { newWebhookEndpoint } from "../objects/new-catalog.ts";
import type { CheckoutSession, Dispute, Metadata, Refund, StripeEvent } from "../objects/types.ts";
import type { Subscription } from "../objects/types-billing.ts";
import { need, type World } from "../state/world.ts";

export interface StripeControl extends MerchantControl {
  /** Does what the button on the hosted page does. Returns the session afterwards. */
  completeCheckout(sessionId: string, outcome?: PaymentOutcome, email?: string): CheckoutSession;
  /** Settles a delayed payment. Returns false when none is in progress. */
  settleDelayedPayment(sessionId: string, paid: boolean): boolean;
  expireCheckout(sessionId: string): CheckoutSession;
  /** Where the browser is sent after paying. */
  successUrl(sessionId: string): string;
  /** Sets the URL of the default webhook endpoint; `null` = only record events. */
  setWebhookUrl(url: string | null): void;
  /** Changes how events are delivered. Settings not given keep their values. Returns all of them. */
  misdeliver(settings: Partial<DeliveryMisbehaviour>): DeliveryMisbehaviour;
  /** Makes the API misbehave for the requests a rule matches. The oldest matching rule applies. */
  misbehave(rule: ApiRule): void;
  /** The misbehaviours currently set. */
  misbehaviours(): { api: ApiRule[]; delivery: DeliveryMisbehaviour };
  /** Clears every misbehaviour and sends what a pause held back. */
  wellBehaved(): void;
  /** Sends one event again. */
  resendEvent(eventId: string): Promise<void>;
  /** Sends every event that has an undelivered delivery, oldest first. Returns how many. */
  resendUndelivered(): Promise<number>;
  /** The time on the billing clock. */
  now(): Date;
  /** Advances the billing clock; everything due on the way happens at its due time. Returns the number of steps. */
  advance(by: { months?: number; days?: number; hours?: number; seconds?: number }): number;
  /** Advances the billing clock to a given time. */
  advanceTo(moment: Date): number;
  /** Runs what is due by now. Call it after moving an injected clock. */
  tick(): number;
  /** Sets the sandbox's wall clock minus the real one: signatures and `created` are off by this. */
  setClockOffset(seconds: number): void;
  /** Sets whether the customer's card works or is declined from now on. */
  setCard(customerId: string, card: "ok" | "failing"): void;
  /** Sets when unpaid invoices are retried, and what happens to the subscription after the last attempt. */
  setDunning(settings: { retryAfterDays?: number[]; end?: "cancel" | "unpaid" }): void;
  /** Collects an open invoice now. Returns false when the card is declined. */
  payInvoice(invoiceId: string): boolean;
  /** Refunds as from the dashboard, by charge or payment intent. */
  refund(
    id: string,
    options?: { amount?: number; reason?: string; metadata?: Metadata; outcome?: RefundOutcome },
  ): Refund;
  /** Sets the outcomes of the next refunds for which none is given, such as those made through the API. */
  nextRefunds(...outcomes: RefundOutcome[]): void;
  settleRefund(refundId: string, succeeded: boolean): Refund;
  /** Opens a cardholder's dispute of a charge or payment intent. An `inquiry` withdraws no funds yet. */
  openDispute(
    id: string,
    options?: { amount?: number; reason?: string; inquiry?: boolean },
  ): Dispute;
  closeDispute(disputeId: string, outcome: "won" | "lost"): Dispute;
  /** Cancels immediately, as from the dashboard. */
  cancelSubscription(subscriptionId: string): Subscription;
  /** Sets the dashboard's portal settings: saved with plan switching on (the initial state), or never saved. */
  savePortalSettings(saved: boolean): void;
  /** All recorded events, oldest first. */
  events(type?: string): StripeEvent[];
  /** Resolves when no delivery is queued or in flight (scheduled retries do not count). */
  idle(): Promise<void>;
}

export const DEFAULT_ENDPOINT_ID = "we_sandbox_default";

/** The parts that the controls act on. */
interface ControlDeps {
  world: World;
  log: EventLog;
  deliverer: Deliverer;
  misbehaviour: Misbehaviour;
  webhookSecret: string;
  apiVersion: string;
}

function setWebhookUrl({ world, webhookSecret, apiVersion }: ControlDeps, url: string | null) {
  if (url === null) {
    world.tables.webhookEndpoints.delete(DEFAULT_ENDPOINT_ID);
    return;
  }
  world.tables.webhookEndpoints.set(
    DEFAULT_ENDPOINT_ID,
    newWebhookEndpoint(DEFAULT_ENDPOINT_ID, world.wallNow(), {
      url,
      secret: webhookSecret,
      enabledEvents: ["*"],
      apiVersion,
    }),
  );
}

function misdeliver(
  deliverer: Deliverer,
  settings: Partial<DeliveryMisbehaviour>,
): DeliveryMisbehaviour {
  Object.assign(deliverer.misbehaviour, settings);
  deliverer.resume();
  return deliverer.misbehaviour;
}

function endMisbehaviour({ misbehaviour, deliverer }: ControlDeps): void {
  misbehaviour.clear();
  misdeliver(deliverer, WELL_BEHAVED);
}

async function resendUndelivered({ log, deliverer }: ControlDeps): Promise<number> {
  const late = [...log.events.values()].filter((event) => log.pending(event) > 0);
  for (const event of late) await deliverer.resend(event);
  return late.length;
}

function advanceTo(world: World, until: number): number {
  if (until < world.billingNow())
    throw badParam("The billing clock only moves forward.", "frozen_time");
  const steps = runBillingUntil(world, until);
  world.hidden.billingOffsetSeconds += until - world.billingNow();
  return steps;
}

function advance(world: World, by: Parameters<StripeControl["advance"]>[0]): number {
  const { months = 0, days = 0, hours = 0, seconds = 0 } = by;
  const monthly = {
    interval: "month",
    interval_count: 1,
    meter: null,
    trial_period_days: null,
    usage_type: "licensed",
  } as const;
  const inMonths = boundary(world.billingNow(), monthly, months);
  return advanceTo(world, inMonths + days * 86_400 + hours * 3600 + seconds);
}

function tick(world: World): number {
  const steps = runBillingUntil(world, world.billingNow());
  for (const session of world.tables.sessions.values()) expireIfDue(world, session);
  return steps;
}

/** Offsets the wall clock only; the billing clock keeps its time. */
function setClockOffset({ hidden }: World, seconds: number): void {
  hidden.billingOffsetSeconds -= seconds - hidden.wallOffsetSeconds;
  hidden.wallOffsetSeconds = seconds;
}

function setCard(world: World, customerId: string, card: "ok" | "failing"): void {
  need(world.tables.customers, "customer", customerId);
  if (card === "failing") world.hidden.failingCards.add(customerId);
  else world.hidden.failingCards.delete(customerId);
}

function settleRefund(world: World, refundId: string, succeeded: boolean): Refund {
  const refund = need(world.tables.refunds, "refund", refundId);
  if (succeeded) succeedRefund(world, refund);
  else failRefund(world, refund);
  return refund;
}

function endDispute(world: World, disputeId: string, outcome: "won" | "lost"): Dispute {
  const dispute = need(world.tables.disputes, "dispute", disputeId);
  closeDispute(world, dispute, outcome);
  return dispute;
}

function cancelSubscription(world: World, subscriptionId: string): Subscription {
  const subscription = need(world.tables.subscriptions, "subscription", subscriptionId);
  if (subscription.status !== "canceled")
    endSubscription(world, subscription, "cancellation_requested");
  return subscription;
}

/** Creates the controls. */
export function createControl(deps: ControlDeps): StripeControl {
  const { world, log, deliverer, misbehaviour } = deps;
  const session = (id: string): CheckoutSession =>
    need(world.tables.sessions, "checkout.session", id);
  return {
    ...createMerchant(world),
    completeCheckout: (id, outcome = "paid", email) => {
      paySession(world, session(id), outcome, email);
      return session(id);
    },
    settleDelayedPayment: (id, paid) => settleSession(world, session(id), paid),
    expireCheckout: (id) => {
      expireSession(world, session(id));
      return session(id);
    },
    successUrl: (id) => successUrl(session(id)),
    setWebhookUrl: (url) => setWebhookUrl(deps, url),
    misdeliver: (settings) => misdeliver(deliverer, settings),
    misbehave: (rule) => misbehaviour.add(rule),
    misbehaviours: () => ({
      api: misbehaviour.rules(),
      delivery: { ...deliverer.misbehaviour },
    }),
    wellBehaved: () => endMisbehaviour(deps),
    resendEvent: async (id) => deliverer.resend(need(log.events, "event", id)),
    resendUndelivered: () => resendUndelivered(deps),
    now: () => new Date(world.billingNow() * 1000),
    advance: (by) => advance(world, by),
    advanceTo: (moment) => advanceTo(world, Math.floor(moment.getTime() / 1000)),
    tick: () => tick(world),
    setClockOffset: (seconds) => setClockOffset(world, seconds),
    setCard: (id, card) => setCard(world, id, card),
    setDunning: (settings) => Object.assign(world.dunning, settings),
    payInvoice: (id) => collect(world, need(world.tables.invoices, "invoice", id)),
    refund: (id, options = {}) => createRefund(world, chargeOf(world, id, "charge"), options),
    nextRefunds: (...outcomes) => {
      world.hidden.nextRefunds.push(...outcomes);
    },
    settleRefund: (id, succeeded) => settleRefund(world, id, succeeded),
    openDispute: (id, options) => openDispute(world, chargeOf(world, id, "charge"), options),
    closeDispute: (id, outcome) => endDispute(world, id, outcome),
    cancelSubscription: (id) => cancelSubscription(world, id),
    savePortalSettings: (saved) => savePortalSettings(world, saved),
    events: (type) =>
      [...log.events.values()]
        .filter((event) => type === undefined || event.type === type)
        .map((event) => log.toObject(event)),
    idle: () => deliverer.idle(),
  };
}
