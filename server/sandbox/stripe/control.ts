// Owns the typed in-process controls of the Stripe stand-in: what a test or a person may make happen from outside.
import { expireSession, paySession, settleSession } from "./checkout.ts";
import { successUrl } from "./checkout-page.ts";
import type { Deliverer, DeliveryMisbehaviour } from "./delivery.ts";
import { WELL_BEHAVED } from "./delivery.ts";
import type { EventLog } from "./events.ts";
import type { PaymentOutcome } from "./payments.ts";
import { newWebhookEndpoint } from "./shapes-catalog.ts";
import type { CheckoutSession, StripeEvent } from "./types.ts";
import { need, type World } from "./world.ts";

export interface StripeControl {
  /** What pressing the button on the hosted page does; answers the session as it is then. */
  completeCheckout(sessionId: string, outcome?: PaymentOutcome, email?: string): CheckoutSession;
  /** Ends a delayed payment; false when none is under way. */
  settleDelayedPayment(sessionId: string, paid: boolean): boolean;
  expireCheckout(sessionId: string): CheckoutSession;
  /** Where the browser goes after paying. */
  successUrl(sessionId: string): string;
  /** Points the default webhook endpoint elsewhere; `null` = record events only. */
  setWebhookUrl(url: string | null): void;
  /** Changes how events are delivered; unnamed settings stay. `{}` after `wellBehaved()` = all good. */
  misdeliver(settings: Partial<DeliveryMisbehaviour>): DeliveryMisbehaviour;
  /** Ends every misbehaviour and sends what a pause held back. */
  wellBehaved(): void;
  /** Sends one event again. */
  resendEvent(eventId: string): Promise<void>;
  /** Sends every event that was dropped or failed, oldest first. */
  resendUndelivered(): Promise<number>;
  /** All recorded events, oldest first. */
  events(type?: string): StripeEvent[];
  /** Resolves when no delivery is queued or in flight (planned retries do not count). */
  idle(): Promise<void>;
}

export const DEFAULT_ENDPOINT_ID = "we_sandbox_default";

/** Creates the controls that need only the world, the log and the deliverer. */
export function createControl(given: {
  world: World;
  log: EventLog;
  deliverer: Deliverer;
  webhookSecret: string;
  apiVersion: string;
}): StripeControl {
  const { world, log, deliverer } = given;
  const session = (id: string): CheckoutSession =>
    need(world.tables.sessions, "checkout.session", id);
  return {
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
    setWebhookUrl: (url) => {
      if (url === null) {
        world.tables.webhookEndpoints.delete(DEFAULT_ENDPOINT_ID);
        return;
      }
      world.tables.webhookEndpoints.set(
        DEFAULT_ENDPOINT_ID,
        newWebhookEndpoint(DEFAULT_ENDPOINT_ID, world.wallNow(), {
          url,
          secret: given.webhookSecret,
          enabledEvents: ["*"],
          apiVersion: given.apiVersion,
        }),
      );
    },
    misdeliver: (settings) => Object.assign(deliverer.misbehaviour, settings),
    wellBehaved: () => {
      const wasPaused = deliverer.misbehaviour.paused;
      Object.assign(deliverer.misbehaviour, WELL_BEHAVED);
      if (wasPaused) deliverer.resume();
    },
    resendEvent: async (id) => deliverer.resend(need(log.events, "event", id)),
    resendUndelivered: async () => {
      const late = [...log.events.values()].filter((event) => log.pending(event) > 0);
      for (const event of late) await deliverer.resend(event);
      return late.length;
    },
    events: (type) =>
      [...log.events.values()]
        .filter((event) => type === undefined || event.type === type)
        .map((event) => log.toObject(event)),
    idle: () => deliverer.idle(),
  };
}
