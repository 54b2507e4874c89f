// Buying through the Stripe stand-in, with the real SDK, works as at Stripe.
import type Stripe from "stripe";
import { describe, expect, it } from "vitest";
import { idOf, sdkFor, useWorld } from "./support.ts";

// Deliveries are retried for long enough that even a slow machine can check one.
const world = useWorld({ retryDelaysMs: Array<number>(200).fill(20) });
const { stripe } = world;

async function openSession(
  extra: Partial<Stripe.Checkout.SessionCreateParams> = {},
): Promise<Stripe.Checkout.Session> {
  return stripe.checkout.sessions.create({
    mode: "payment",
    success_url: "http://localhost:3000/done?session_id={CHECKOUT_SESSION_ID}",
    cancel_url: "http://localhost:3000/cancelled",
    client_reference_id: "user-1",
    metadata: { packageId: "medium" },
    line_items: [
      {
        quantity: 1,
        price_data: { currency: "usd", unit_amount: 2000, product_data: { name: "500 credits" } },
      },
    ],
    ...extra,
  });
}

async function press(
  session: Stripe.Checkout.Session,
  form: { [name: string]: string } = {},
  action = "pay",
): Promise<Response> {
  return fetch(`${world.sandbox.url}/c/pay/${session.id}/${action}`, {
    method: "POST",
    body: new URLSearchParams(form),
    redirect: "manual",
  });
}

it.each(["success_url", "cancel_url"])("names an invalid %s in its refusal", async (param) => {
  await expect(openSession({ [param]: "localhost:3000" })).rejects.toMatchObject({
    statusCode: 400,
    code: "url_invalid",
    param,
  });
});

describe("a purchase", () => {
  it("is paid on the hosted page once, however often the button is pressed, and announced signed and in order", async () => {
    const customer = await stripe.customers.create({
      email: "buyer@example.com",
      metadata: { userId: "u1" },
    });
    const session = await openSession({ customer: customer.id });
    expect(session.payment_intent).toBeNull();
    expect(session.payment_status).toBe("unpaid");
    const page = await fetch(session.url ?? "");
    expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(await page.text()).toContain("$20.00");

    const answers = await Promise.all([press(session), press(session), press(session)]);
    for (const answer of answers) {
      expect(answer.status).toBe(303);
      expect(answer.headers.get("location")).toBe(
        `http://localhost:3000/done?session_id=${session.id}`,
      );
    }
    await world.sandbox.control.idle();

    const paid = await stripe.checkout.sessions.retrieve(session.id, {
      expand: ["line_items", "payment_intent.latest_charge", "customer"],
    });
    expect(paid).toMatchObject({
      status: "complete",
      payment_status: "paid",
      amount_total: 2000,
      client_reference_id: "user-1",
      metadata: { packageId: "medium" },
    });
    expect(paid.line_items?.data[0]?.description).toBe("500 credits");
    const intent = paid.payment_intent as Stripe.PaymentIntent;
    expect(intent).toMatchObject({
      status: "succeeded",
      amount_received: 2000,
      customer: customer.id,
    });
    expect((intent.latest_charge as Stripe.Charge).paid).toBe(true);
    expect((paid.customer as Stripe.Customer).email).toBe("buyer@example.com");

    const types = world.receiver.types();
    expect(types.filter((type) => type === "checkout.session.completed")).toHaveLength(1);
    expect(types.filter((type) => type === "charge.succeeded")).toHaveLength(1);
    const order = [
      "customer.created",
      "payment_intent.created",
      "charge.succeeded",
      "payment_intent.succeeded",
      "checkout.session.completed",
    ];
    expect(types.filter((type) => order.includes(type))).toEqual(order);
    const event = world.receiver.received.find((it) => it.type === "checkout.session.completed");
    expect(event).toMatchObject({ object: "event", livemode: false, pending_webhooks: 1 });
    const [listed] = (await stripe.checkout.sessions.list({ payment_intent: intent.id })).data;
    expect(listed?.id).toBe(session.id);
  });

  it("stays open after a declined card and can still be paid with the same intent", async () => {
    const session = await openSession();
    const declined = await press(session, { method: "declined" });
    expect(declined.status).toBe(402);
    expect(await declined.text()).toContain("declined");
    const open = await stripe.checkout.sessions.retrieve(session.id, {
      expand: ["payment_intent"],
    });
    expect(open.status).toBe("open");
    expect((open.payment_intent as Stripe.PaymentIntent).last_payment_error?.code).toBe(
      "card_declined",
    );
    expect((await press(session)).status).toBe(303);
    const paid = await stripe.checkout.sessions.retrieve(session.id);
    expect(paid.payment_status).toBe("paid");
    expect(paid.payment_intent).toBe((open.payment_intent as Stripe.PaymentIntent).id);
    expect(
      (await stripe.charges.list({ payment_intent: idOf(paid.payment_intent) })).data.map(
        (it) => it.status,
      ),
    ).toEqual(["succeeded", "failed"]);
  });

  it.each([true, false])(
    "with a delayed method is unpaid first and settles later (paid: %s)",
    async (well) => {
      const session = await openSession();
      await press(session, { method: "delayed" });
      await world.sandbox.control.idle();
      const completed = world.receiver.received.find(
        (it) => it.type === "checkout.session.completed",
      );
      expect(completed?.data.object).toMatchObject({ payment_status: "unpaid" });
      expect(world.sandbox.control.settleDelayedPayment(session.id, well)).toBe(true);
      expect(world.sandbox.control.settleDelayedPayment(session.id, well)).toBe(false);
      await world.sandbox.control.idle();
      expect(world.receiver.types()).toContain(
        `checkout.session.async_payment_${well ? "succeeded" : "failed"}`,
      );
      expect((await stripe.checkout.sessions.retrieve(session.id)).payment_status).toBe(
        well ? "paid" : "unpaid",
      );
    },
  );

  it("costs nothing with a full coupon: no payment intent, no payment required", async () => {
    const session = await openSession({ allow_promotion_codes: true });
    expect((await press(session, { code: "nonsense" }, "code")).status).toBe(422);
    expect((await press(session, { code: "free100" }, "code")).status).toBe(303);
    expect((await press(session)).status).toBe(303);
    const paid = await stripe.checkout.sessions.retrieve(session.id);
    expect(paid).toMatchObject({
      amount_total: 0,
      amount_subtotal: 2000,
      payment_intent: null,
      payment_status: "no_payment_required",
      status: "complete",
    });
  });

  it("expires by the API and cannot be paid afterwards", async () => {
    const session = await openSession();
    expect((await stripe.checkout.sessions.expire(session.id)).status).toBe("expired");
    await expect(stripe.checkout.sessions.expire(session.id)).rejects.toThrow(/can be expired/);
    expect((await press(session)).status).toBe(200);
    expect((await stripe.checkout.sessions.retrieve(session.id)).payment_status).toBe("unpaid");
    await world.sandbox.control.idle();
    expect(world.receiver.types()).toContain("checkout.session.expired");
    expect(world.receiver.types()).not.toContain("checkout.session.completed");
  });
});

describe("the wire", () => {
  it("refuses a wrong key with 401 and unknown ids with 404", async () => {
    await expect(
      sdkFor(world.sandbox, { key: "sk_test_wrong_key_0000" }).customers.list(),
    ).rejects.toMatchObject({ type: "StripeAuthenticationError", statusCode: 401 });
    await expect(stripe.customers.retrieve("cus_nobody")).rejects.toMatchObject({
      type: "StripeInvalidRequestError",
      statusCode: 404,
      code: "resource_missing",
      param: "id",
    });
  });

  it("refuses unknown and missing parameters with 400", async () => {
    const post = (path: string, body: string): Promise<Response> =>
      fetch(`${world.sandbox.url}${path}`, {
        method: "POST",
        body: new URLSearchParams(body),
        headers: { authorization: `Bearer ${world.sandbox.secretKey}` },
      });
    const unknown = await post("/v1/customers", "emial=a@example.com");
    expect(unknown.status).toBe(400);
    expect(await unknown.json()).toMatchObject({
      error: { type: "invalid_request_error", code: "parameter_unknown", param: "emial" },
    });
    const nested = await post(
      "/v1/prices",
      "currency=usd&unit_amount=5&product_data[name]=x&recurring[interval]=month&recurring[oops]=1",
    );
    expect(await nested.json()).toMatchObject({
      error: { code: "parameter_unknown", param: "recurring[oops]" },
    });
    const missing = await post("/v1/products", "description=x");
    expect(await missing.json()).toMatchObject({
      error: { code: "parameter_missing", param: "name" },
    });
    const hostile = await post("/v1/customers", "metadata[__proto__]=x&__proto__[polluted]=1");
    expect(hostile.status).toBe(400);
    expect(({} as { polluted?: string }).polluted).toBeUndefined();
  });

  it("replays an idempotent request and refuses the key for another one", async () => {
    const options = { idempotencyKey: `key-${Math.random()}` };
    const first = await stripe.customers.create({ email: "once@example.com" }, options);
    const second = await stripe.customers.create({ email: "once@example.com" }, options);
    expect(second.id).toBe(first.id);
    expect(second.lastResponse.headers["idempotent-replayed"]).toBe("true");
    expect((await stripe.customers.list({ email: "once@example.com" })).data).toHaveLength(1);
    await expect(
      stripe.customers.create({ email: "other@example.com" }, options),
    ).rejects.toMatchObject({ type: "StripeIdempotencyError", statusCode: 400 });
  });

  it("pages with cursors in both directions and filters by time", async () => {
    const ids: string[] = [];
    for (let i = 0; i < 5; i += 1)
      ids.unshift((await stripe.customers.create({ email: "page@example.com" })).id);
    const first = await stripe.customers.list({ email: "page@example.com", limit: 2 });
    expect(first.data.map((it) => it.id)).toEqual(ids.slice(0, 2));
    expect(first.has_more).toBe(true);
    const next = await stripe.customers.list({
      email: "page@example.com",
      limit: 2,
      starting_after: ids[1],
    });
    expect(next.data.map((it) => it.id)).toEqual(ids.slice(2, 4));
    const back = await stripe.customers.list({
      email: "page@example.com",
      limit: 2,
      ending_before: ids[4],
    });
    expect(back.data.map((it) => it.id)).toEqual(ids.slice(2, 4));
    const all: string[] = [];
    for await (const it of stripe.customers.list({ email: "page@example.com", limit: 2 }))
      all.push(it.id);
    expect(all).toEqual(ids);
    const soon = Math.floor(Date.now() / 1000) + 3600;
    expect((await stripe.customers.list({ created: { gte: soon } })).data).toHaveLength(0);
    await expect(stripe.customers.list({ limit: 101 })).rejects.toThrow(/limit/);
  });

  it("moves a lookup key from one price to the next", async () => {
    const old = await stripe.prices.create({
      currency: "usd",
      unit_amount: 500,
      lookup_key: "small",
      product_data: { name: "Small" },
    });
    await expect(
      stripe.prices.create({
        currency: "usd",
        unit_amount: 600,
        lookup_key: "small",
        product: idOf(old.product),
      }),
    ).rejects.toThrow(/lookup key/);
    const fresh = await stripe.prices.create({
      currency: "usd",
      unit_amount: 600,
      lookup_key: "small",
      transfer_lookup_key: true,
      product: idOf(old.product),
    });
    expect((await stripe.prices.list({ lookup_keys: ["small"] })).data.map((it) => it.id)).toEqual([
      fresh.id,
    ]);
    expect(fresh.unit_amount_decimal?.toString()).toBe("600");
  });

  it("retries a refused delivery and shows it as undelivered meanwhile", async () => {
    world.receiver.answer.status = 500;
    const customer = await stripe.customers.create({ email: "late@example.com" });
    await world.sandbox.control.idle();
    const late = await stripe.events.list({
      type: "customer.created",
      delivery_success: false,
      limit: 1,
    });
    expect(late.data[0]?.data.object).toMatchObject({ id: customer.id });
    expect(late.data[0]?.pending_webhooks).toBe(1);
    world.receiver.answer.status = 200;
    await expect.poll(() => world.receiver.types()).toContain("customer.created");
    await world.sandbox.control.idle();
    const event = await stripe.events.retrieve(late.data[0]?.id ?? "");
    expect(event.pending_webhooks).toBe(0);
  });
});
