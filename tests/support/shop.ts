// An app that sells: connected to the real sandbox, with helpers for what customers do and for moving time.
import { setTimeout as sleep } from "node:timers/promises";
import type { CallLimits } from "../../server/adapters/stripe/calls.ts";
import { createStripeAdapter } from "../../server/adapters/stripe/stripe.ts";
import { isAppError } from "../../server/lib/errors.ts";
import { auditWholeLedger } from "../../server/ledger/audit/audit.ts";
import { addMonths } from "../../server/payment/catalog/billing-months.ts";
import type { StripePort } from "../../server/payment/stripe/port.ts";
import { SANDBOX_DEFAULTS } from "../../server/sandbox/src/sandbox.ts";
import { signatureHeader } from "../../server/sandbox/src/stripe/events/delivery.ts";
import { openTestApp, type TestApp, type TestAppOptions } from "./server.ts";

export const { secretKey: SECRET_KEY, webhookSecret: WEBHOOK_SECRET } = SANDBOX_DEFAULTS;

/** Short, so that tests of failures finish quickly. */
export const TEST_LIMITS: CallLimits = {
  attemptTimeoutMs: 2_000,
  deadlineMs: 6_000,
  maxAttempts: 4,
  baseDelayMs: 20,
};

export type Shop = Awaited<ReturnType<typeof openShop>>;

/** Options of `openShop`. */
export interface ShopOptions extends TestAppOptions {
  /** False: events are recorded but not delivered. */
  webhooks?: boolean;
  limits?: CallLimits;
  /** Wraps the port between the service and the adapter, to delay an answer for example. */
  wrapStripe?: (port: StripePort) => StripePort;
}

/**
 * Opens an app as a shop. Events are delivered to its first instance. `close` throws if the doctor finds anything wrong
 * with what the suite has left behind.
 */
export async function openShop(options: ShopOptions) {
  const { limits = TEST_LIMITS, wrapStripe = (port) => port } = options;
  const app = await openTestApp({
    ...options,
    env: { STRIPE_WEBHOOK_SECRET: `whsec_former,${WEBHOOK_SECRET}`, ...options.env },
    sandbox: { stripe: { retryDelaysMs: [], maxEvents: 200_000 } },
    adapters: async ({ stripe }) => ({ stripe: wrapStripe(createStripeAdapter(stripe, limits)) }),
  });
  app.beforeClose(async () => {
    const violations = await auditWholeLedger({ database: app.backend.database });
    if (violations.length > 0)
      throw new Error(`the doctor found: ${JSON.stringify(violations.slice(0, 5))}`);
  });
  if (options.webhooks === false) app.sandbox.stripe.control.setWebhookUrl(null);
  return { ...app, ...doingsIn(app) };
}

/** What customers do in an app, and how time passes there. */
function doingsIn(app: TestApp) {
  const { clock, models, payment, sandbox } = app;
  const { control } = sandbox.stripe;
  const userOf = (id: string) => models.user.findUniqueOrThrow({ where: { id } });
  /** Posts a recorded event, freshly signed, to one instance; returns the HTTP status. `id` replaces the event's id. */
  async function deliver(event: { id: string }, instance = 0, id = event.id): Promise<number> {
    const body = JSON.stringify({ ...event, id });
    const at = Math.floor(clock.now() / 1_000);
    const answer = await fetch(`${app.instance(instance).url}/api/payment/webhook`, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        "Stripe-Signature": signatureHeader(body, WEBHOOK_SECRET, at),
      },
      body,
    });
    await answer.text();
    return answer.status;
  }
  const pay = ({ sessionId }: { sessionId: string }): string => {
    control.completeCheckout(sessionId);
    return sessionId;
  };
  /** Enters a promotion code on the hosted page and pays. */
  async function payWithCode({ sessionId }: { sessionId: string }, code: string): Promise<void> {
    await fetch(`${sandbox.stripe.url}/c/pay/${sessionId}/code`, {
      method: "POST",
      body: new URLSearchParams({ code }),
      redirect: "manual",
    });
    pay({ sessionId });
    await control.idle();
  }
  return {
    payWithCode,
    /** Moves the clock of all instances and of the sandbox. */
    travel({
      months = 0,
      days = 0,
      minutes = 0,
    }: {
      months?: number;
      days?: number;
      minutes?: number;
    }) {
      const now = clock.now();
      const afterMonths = addMonths(new Date(now), months).getTime() - now;
      clock.aheadMs += afterMonths + days * 86_400_000 + minutes * 60_000;
      control.tick();
    },
    customerOf: async (userId: string) => (await userOf(userId)).stripeCustomerId ?? "",
    credits: async (userId: string) => (await userOf(userId)).credits,
    /** Buys a package and pays; resolves with the session. */
    buy: async (userId: string, packageId: string) =>
      pay(await payment.checkout(userId, { packageId })),
    /** Subscribes and pays; resolves with the session. */
    subscribe: async (userId: string, planId: string) =>
      pay(await payment.subscribe(userId, { planId })),
    deliver,
    /** Delivers until accepted, up to five times: a busy machine runs out of connections. Returns the last status. */
    async deliverUntilTaken(event: { id: string }, instance?: number, id?: string) {
      let status = 0;
      for (let tries = 0; tries < 5 && status !== 200; tries += 1)
        status = await deliver(event, instance, id);
      return status;
    },
    /** Waits until every event is delivered. */
    settled: () => control.idle(),
  };
}

/** Retries what the server was too busy for, as every client does: up to 20 tries. */
export async function retryWhileUnavailable<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1)
    try {
      return await work();
    } catch (error) {
      if (tries === 20 || !isAppError(error) || error.code !== "SERVICE_UNAVAILABLE") throw error;
      await sleep(50 * tries);
    }
}
