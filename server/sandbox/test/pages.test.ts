// The portal, the control page, the control API and the saved state do what they promise.
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type Stripe from "stripe";
import { describe, expect, it } from "vitest";
import { startStripeSandbox } from "../src/stripe/server.ts";
import {
  idOf,
  sdkFor,
  SECRET_KEY,
  startWorld,
  useWorld,
  WEBHOOK_SECRET,
  type World,
} from "./support.ts";

const world = useWorld();
const { stripe } = world;

async function subscribe(
  on: World = world,
): Promise<{ customer: string; subscription: string; basic: string; pro: string }> {
  const prices = [];
  for (const [name, amount] of [
    ["Basic", 999],
    ["Pro", 1999],
  ] as const) {
    prices.push(
      await on.stripe.prices.create({
        currency: "usd",
        unit_amount: amount,
        recurring: { interval: "month" },
        product_data: { name },
      }),
    );
  }
  const [basic, pro] = prices;
  const customer = await on.stripe.customers.create({ email: "portal@example.com" });
  const session = await on.stripe.checkout.sessions.create({
    mode: "subscription",
    customer: customer.id,
    success_url: "http://localhost:3000/",
    line_items: [{ price: basic?.id, quantity: 1 }],
  });
  const done = on.sandbox.control.completeCheckout(session.id);
  return {
    customer: customer.id,
    subscription: idOf(done.subscription),
    basic: basic?.id ?? "",
    pro: pro?.id ?? "",
  };
}

const post = (
  url: string,
  form: { [name: string]: string },
  headers: { [name: string]: string } = {},
): Promise<Response> =>
  fetch(url, { method: "POST", body: new URLSearchParams(form), redirect: "manual", headers });

describe("the billing portal", () => {
  it("lets a person cancel, resume, switch, and use a card that fails", async () => {
    const { customer, subscription, pro } = await subscribe();
    const portal = await stripe.billingPortal.sessions.create({
      customer,
      return_url: "http://localhost:3000/account",
    });
    const page = await (await fetch(portal.url)).text();
    expect(page).toContain("Basic, $9.99 / month");
    expect(page).toContain("http://localhost:3000/account");
    await post(`${portal.url}/cancel`, { subscription });
    expect((await stripe.subscriptions.retrieve(subscription)).cancel_at_period_end).toBe(true);
    await post(`${portal.url}/resume`, { subscription });
    expect((await stripe.subscriptions.retrieve(subscription)).cancel_at_period_end).toBe(false);
    await post(`${portal.url}/card`, { card: "failing" });
    const refused = await post(`${portal.url}/switch`, { subscription, price: pro });
    expect(refused.status).toBe(402);
    expect(await refused.text()).toContain("declined");
    await post(`${portal.url}/card`, { card: "ok" });
    await post(`${portal.url}/switch`, { subscription, price: pro });
    expect((await stripe.subscriptions.retrieve(subscription)).items.data[0]?.price.id).toBe(pro);
  });

  it("touches nobody else's subscription", async () => {
    const mine = await subscribe();
    const other = await subscribe();
    const portal = await stripe.billingPortal.sessions.create({ customer: mine.customer });
    await post(`${portal.url}/cancel`, { subscription: other.subscription });
    expect((await stripe.subscriptions.retrieve(other.subscription)).cancel_at_period_end).toBe(
      false,
    );
    expect((await fetch(`${world.sandbox.url}/p/session/nonsense`)).status).toBe(404);
  });
});

describe("control from outside", () => {
  const command = async (
    name: string,
    input: unknown,
  ): Promise<{ status: number; body: { [field: string]: unknown } }> => {
    // With the content type that `curl -d` sends.
    const answer = await fetch(`${world.sandbox.url}/_sandbox/${name}`, {
      method: "POST",
      body: JSON.stringify(input),
      headers: { "content-type": "application/x-www-form-urlencoded" },
    });
    return { status: answer.status, body: (await answer.json()) as { [field: string]: unknown } };
  };

  it("moves the clock, fails the card, refunds and disputes by curl", async () => {
    const { customer, subscription } = await subscribe();
    expect((await command("card", { customer, card: "failing" })).status).toBe(200);
    expect((await command("clock", { months: 1, hours: 2 })).body.steps).toBeGreaterThan(1);
    expect((await stripe.subscriptions.retrieve(subscription)).status).toBe("past_due");
    const [charge] = (await stripe.charges.list({ customer })).data.filter((it) => it.paid);
    const refund = await command("refund", { id: charge?.id, amount: 100 });
    expect(refund.body).toMatchObject({ object: "refund", amount: 100 });
    const dispute = await command("dispute", { id: charge?.id });
    expect(
      (await command("dispute/close", { dispute: dispute.body.id, outcome: "lost" })).body.status,
    ).toBe("lost");
    expect((await command("refund", { id: charge?.id })).status).toBe(400);
    expect((await command("clock", { months: "soon" })).status).toBe(400);
    expect((await command("constructor", {})).status).toBe(404);
  });

  it("shows a page with everything, escaped, and takes its forms", async () => {
    await stripe.customers.create({ email: "markup@example.com", name: "x" });
    await stripe.products.create({ name: "<script>alert(1)</script>" });
    const answer = await fetch(world.sandbox.url);
    const page = await answer.text();
    expect(answer.headers.get("content-security-policy")).toMatch(/default-src 'none'/);
    expect(page).toContain("markup@example.com");
    expect(page).not.toContain("<script");
    const form = await post(`${world.sandbox.url}/_sandbox/delivery`, {
      duplicate: "0",
      paused: "false",
      delayMs: "",
    });
    expect(form.status).toBe(303);
  });

  it("refuses forms of other sites and foreign host names", async () => {
    const foreign = await post(
      `${world.sandbox.url}/_sandbox/well-behaved`,
      { x: "1" },
      { origin: "https://evil.example.com" },
    );
    expect(foreign.status).toBe(403);
    const { request } = await import("node:http");
    const status = await new Promise<number | undefined>((resolve, reject) => {
      request(
        {
          host: "127.0.0.1",
          port: world.sandbox.port,
          path: "/",
          headers: { host: "rebound.example.com" },
        },
        (res) => {
          res.resume();
          resolve(res.statusCode);
        },
      )
        .on("error", reject)
        .end();
    });
    expect(status).toBe(403);
  });
});

describe("kept state", () => {
  const options = (dataDir: string) => ({
    dataDir,
    secretKey: SECRET_KEY,
    webhookSecret: WEBHOOK_SECRET,
    retryDelaysMs: [20],
  });

  it("survives a restart: subscriptions, clock, keys, undelivered events", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "sandbox-test-"));
    const first = await startWorld({ dataDir });
    const { customer, subscription } = await subscribe(first);
    first.sandbox.control.setCard(customer, "failing");
    first.sandbox.control.advance({ days: 3 });
    const now = first.sandbox.control.now().getTime();
    const made = await first.stripe.customers.create(
      { email: "kept@example.com" },
      { idempotencyKey: "kept" },
    );
    await first.sandbox.control.idle();
    first.sandbox.control.misdeliver({ paused: true });
    await first.stripe.customers.create({ email: "undelivered@example.com" });
    await first.close();

    const second = await startWorld({ dataDir });
    expect((await second.stripe.subscriptions.retrieve(subscription)).status).toBe("active");
    expect(Math.abs(second.sandbox.control.now().getTime() - now)).toBeLessThan(60_000);
    expect(
      (
        await second.stripe.customers.create(
          { email: "kept@example.com" },
          { idempotencyKey: "kept" },
        )
      ).id,
    ).toBe(made.id);
    await expect
      .poll(() => second.receiver.received.map((it) => (it.data.object as Stripe.Customer).email))
      .toEqual(["undelivered@example.com"]);
    second.sandbox.control.advance({ months: 1 });
    expect((await second.stripe.subscriptions.retrieve(subscription)).status).toBe("past_due");
    await second.close();
    await rm(dataDir, { recursive: true });
  });

  it("puts a broken file aside and starts empty", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "sandbox-test-"));
    await writeFile(join(dataDir, "stripe-sandbox.json"), '{"version":1,"sta');
    const sandbox = await startStripeSandbox(options(dataDir));
    expect((await sdkFor(sandbox).customers.list()).data).toHaveLength(0);
    await sandbox.close();
    expect(await readdir(dataDir)).toContain("stripe-sandbox.json.broken");
    await rm(dataDir, { recursive: true });
  });

  it("says which port is taken", async () => {
    await expect(
      startStripeSandbox({
        port: world.sandbox.port,
        secretKey: SECRET_KEY,
        webhookSecret: WEBHOOK_SECRET,
      }),
    ).rejects.toThrow(`127.0.0.1:${world.sandbox.port}: the port is taken`);
  });
});
