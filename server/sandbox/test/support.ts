// Shared by the sandbox's tests: a sandbox per suite, the real SDK pointed at it, and a webhook receiver.
import Stripe from "stripe";
import { afterAll, beforeAll, beforeEach } from "vitest";
import { serve } from "../../../tests/support/ports.ts";
import { use } from "../../../tests/support/use.ts";
import {
  type StripeSandbox,
  type StripeSandboxOptions,
  startStripeSandbox,
} from "../src/stripe/server.ts";

export type World = Awaited<ReturnType<typeof startWorld>>;

export const SECRET_KEY = "sk_test_of_the_sandbox_tests";
export const WEBHOOK_SECRET = "whsec_of_the_sandbox_tests";

/** The real SDK, pointed at a sandbox. */
export function sdkFor(
  sandbox: StripeSandbox,
  config: { maxNetworkRetries?: number; timeout?: number; key?: string } = {},
): Stripe {
  return new Stripe(config.key ?? SECRET_KEY, {
    host: "127.0.0.1",
    port: sandbox.port,
    protocol: "http",
    telemetry: false,
    maxNetworkRetries: config.maxNetworkRetries ?? 0,
    timeout: config.timeout ?? 10_000,
  });
}

/** A webhook endpoint that verifies every signature. An event with a bad one gets a 400 and is not kept. */
async function startReceiver() {
  const received: Stripe.Event[] = [];
  const answer = { status: 200 };
  const verifier = new Stripe("sk_test_unused");
  const { url, close } = await serve((req, res) => {
    const chunks: Buffer[] = [];
    req.on("data", (chunk: Buffer) => chunks.push(chunk));
    req.on("end", () => {
      try {
        const event = verifier.webhooks.constructEvent(
          Buffer.concat(chunks),
          String(req.headers["stripe-signature"]),
          WEBHOOK_SECRET,
        );
        if (answer.status < 300) received.push(event);
        res.writeHead(answer.status).end("{}");
      } catch {
        res.writeHead(400).end("bad signature");
      }
    });
  });
  return {
    url: `${url}/webhook`,
    /** Events in order of arrival, verified by the SDK's `constructEvent`. */
    received,
    /** How to respond from now on. Set its `status` to change it. */
    answer,
    types: () => received.map((event) => event.type),
    clear: () => received.splice(0),
    close,
  };
}

/** A sandbox, with an SDK and a receiver connected to it. Deliveries arrive strictly in order. */
export async function startWorld(options: Partial<StripeSandboxOptions> = {}) {
  const receiver = await startReceiver();
  const sandbox = await startStripeSandbox({
    secretKey: SECRET_KEY,
    webhookSecret: WEBHOOK_SECRET,
    webhookUrl: receiver.url,
    retryDelaysMs: [20, 40, 80],
    deliveryConcurrency: 1,
    ...options,
  });
  return {
    sandbox,
    stripe: sdkFor(sandbox),
    receiver,
    close: async () => {
      await sandbox.close();
      await receiver.close();
    },
  };
}

/** A world for the current suite, ready from its first hook. No test sees the previous test's events. */
export function useWorld(options: Partial<StripeSandboxOptions> = {}): World {
  const world = { stripe: {} } as World;
  beforeAll(async () => {
    const { stripe, ...others } = await startWorld(options);
    Object.assign(world, others);
    Object.assign(world.stripe, stripe);
  });
  beforeEach(async () => {
    await world.sandbox.control.idle();
    world.receiver.clear();
  });
  afterAll(() => world.close());
  return world;
}

/** Two monthly prices ($10 and $30) and a yearly one ($300) for the second product, in the current suite's world. */
export const usePlans = ({ stripe }: World) => use(() => makePlans(stripe));

async function makePlans(stripe: Stripe) {
  const monthly = (name: string, amount: number): Promise<Stripe.Price> =>
    stripe.prices.create({
      currency: "usd",
      unit_amount: amount,
      recurring: { interval: "month" },
      product_data: { name },
    });
  const basic = await monthly("Basic", 1000);
  const pro = await monthly("Pro", 3000);
  const proYearly = await stripe.prices.create({
    currency: "usd",
    unit_amount: 30_000,
    recurring: { interval: "year" },
    product: idOf(pro.product),
  });
  return { basic, pro, proYearly };
}

/** A new customer's subscription, paid through checkout. */
export async function subscribe(
  { stripe, sandbox }: World,
  price: Stripe.Price,
  coupon?: string,
): Promise<{
  subscription: Stripe.Subscription;
  customer: string;
  session: Stripe.Checkout.Session;
}> {
  const customer = await stripe.customers.create({ email: "member@example.com" });
  const open = await stripe.checkout.sessions.create({
    mode: "subscription",
    customer: customer.id,
    line_items: [{ price: price.id, quantity: 1 }],
    ...(coupon === undefined ? {} : { discounts: [{ coupon }] }),
    success_url: "http://localhost:3000/done",
    subscription_data: { metadata: { userId: "u1" } },
  });
  sandbox.control.completeCheckout(open.id);
  const session = await stripe.checkout.sessions.retrieve(open.id, {
    expand: ["subscription", "invoice.payments"],
  });
  return {
    subscription: session.subscription as Stripe.Subscription,
    customer: customer.id,
    session,
  };
}

/** The only item of a subscription. */
export function itemOf(subscription: Stripe.Subscription): Stripe.SubscriptionItem {
  const [first] = subscription.items.data;
  if (first === undefined) throw new Error("no item");
  return first;
}

/** All invoices of a subscription, newest first. */
export async function invoicesOf(
  stripe: Stripe,
  subscription: Stripe.Subscription,
): Promise<Stripe.Invoice[]> {
  return (await stripe.invoices.list({ subscription: subscription.id, limit: 100 })).data;
}

/** The id behind a field that may be expanded. */
export function idOf(field: string | { id?: string } | null | undefined): string {
  const id = typeof field === "string" ? field : field?.id;
  if (id === undefined) throw new Error("the field is empty");
  return id;
}
