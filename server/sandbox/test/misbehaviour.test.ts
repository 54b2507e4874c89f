// The Stripe stand-in fails exactly as requested, seen through the real SDK.
import { setTimeout } from "node:timers/promises";
import Stripe from "stripe";
import { beforeEach, describe, expect, it } from "vitest";
import type { ApiRule } from "../src/stripe/api/misbehaviour.ts";
import { sdkFor, startWorld, useWorld, WEBHOOK_SECRET } from "./support.ts";

const world = useWorld();
const { stripe } = world;
let unique = 0;

beforeEach(() => world.sandbox.control.wellBehaved());

const email = (): string => {
  unique += 1;
  return `fault-${unique}@example.com`;
};
const countOf = async (address: string): Promise<number> =>
  (await stripe.customers.list({ email: address })).data.length;
const misbehave = (rule: ApiRule): void => world.sandbox.control.misbehave(rule);

describe("the API", () => {
  it("refuses with 429 and Retry-After, which the SDK does not retry", async () => {
    misbehave({ fault: "429", retryAfterSeconds: 7, path: "/v1/customers" });
    const address = email();
    const error: unknown = await stripe.customers
      .create({ email: address })
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Stripe.errors.StripeRateLimitError);
    expect((error as Stripe.errors.StripeRateLimitError).headers?.["retry-after"]).toBe("7");
    expect(await countOf(address)).toBe(0);
  });

  it.each([
    ["500", 0],
    ["500-after", 1],
  ] as const)("answers %s having made %i objects", async (fault, made) => {
    misbehave({ fault, method: "POST" });
    const address = email();
    await expect(stripe.customers.create({ email: address })).rejects.toBeInstanceOf(
      Stripe.errors.StripeAPIError,
    );
    expect(await countOf(address)).toBe(made);
  });

  it("refuses in the words it is told, as often as it is told", async () => {
    const error = { status: 404, type: "invalid_request_error", message: "Gone.", code: "gone" };
    misbehave({ fault: "500", path: "/v1/customers", times: Number.POSITIVE_INFINITY, error });
    for (let time = 0; time < 3; time += 1)
      await expect(stripe.customers.list()).rejects.toMatchObject({
        statusCode: 404,
        code: "gone",
        message: "Gone.",
      });
    world.sandbox.control.wellBehaved();
    misbehave({ fault: "500", saved: true, error: { ...error, status: 402 } });
    const options = { idempotencyKey: "refused and kept" };
    const address = email();
    for (let time = 0; time < 2; time += 1)
      await expect(stripe.customers.create({ email: address }, options)).rejects.toMatchObject({
        statusCode: 402,
        code: "gone",
      });
    expect(await countOf(address)).toBe(0);
  });

  it("answers 502 with {}, which the SDK takes for an object without an id", async () => {
    misbehave({ fault: "502-empty" });
    const customer = await stripe.customers.create({ email: email() });
    expect(customer.id).toBeUndefined();
  });

  it("answers HTML", async () => {
    misbehave({ fault: "html" });
    await expect(stripe.customers.list()).rejects.toThrow(/JSON/);
    misbehave({ fault: "html-200" });
    await expect(stripe.customers.list()).rejects.toThrow(/JSON/);
  });

  it("stops in mid-body after the work is done", async () => {
    const address = email();
    misbehave({ fault: "half", times: 10, method: "POST" });
    await expect(stripe.customers.create({ email: address })).rejects.toThrow();
    world.sandbox.control.wellBehaved();
    expect(await countOf(address)).toBe(1);
  });

  it.each([
    ["hang", 0],
    ["hang-after", 1],
  ] as const)(
    "with %s says nothing until the client gives up, having made %i",
    async (fault, made) => {
      misbehave({ fault, times: 5, method: "POST" });
      const address = email();
      await expect(
        sdkFor(world.sandbox, { timeout: 2_000 }).customers.create({ email: address }),
      ).rejects.toBeInstanceOf(Stripe.errors.StripeConnectionError);
      expect(await countOf(address)).toBe(made);
    },
  );

  it.each(["cut-before", "cut-after"] as const)(
    "with %s cuts the connection, and a retry with the same key makes one object",
    async (fault) => {
      misbehave({ fault, times: 2, method: "POST", path: "/v1/customers" });
      const address = email();
      const customer = await sdkFor(world.sandbox, { maxNetworkRetries: 3 }).customers.create(
        { email: address },
        { idempotencyKey: `cut-${address}` },
      );
      expect(customer.email).toBe(address);
      expect(await countOf(address)).toBe(1);
      expect(customer.lastResponse.headers["idempotent-replayed"]).toBe(
        fault === "cut-after" ? "true" : undefined,
      );
    },
  );

  it("refuses a second request with a key whose first is still under way", async () => {
    misbehave({ fault: "slow", delayMs: 5_000, method: "POST" });
    const address = email();
    const options = { idempotencyKey: `slow-${address}` };
    const first = stripe.customers.create({ email: address }, options);
    // The rule is used up, so the first request has arrived.
    await expect.poll(() => world.sandbox.control.misbehaviours().api).toEqual([]);
    await expect(stripe.customers.create({ email: address }, options)).rejects.toMatchObject({
      statusCode: 409,
    });
    expect((await first).email).toBe(address);
    expect((await stripe.customers.create({ email: address }, options)).id).toBe((await first).id);
  });
});

describe("event delivery", () => {
  const create = async (many: number): Promise<void> => {
    for (let i = 0; i < many; i += 1) await stripe.customers.create({ email: email() });
  };
  const names = (): string[] =>
    world.receiver.received.map((it) => String((it.data.object as Stripe.Customer).email));

  it("repeats an event as often as it is told, under the same id", async () => {
    world.sandbox.control.misdeliver({ duplicate: 3 });
    await create(1);
    await world.sandbox.control.idle();
    expect(world.receiver.received).toHaveLength(4);
    expect(new Set(world.receiver.received.map((it) => it.id)).size).toBe(1);
  });

  it("announces the same object under a second event id", async () => {
    world.sandbox.control.misdeliver({ secondId: true });
    await create(1);
    await world.sandbox.control.idle();
    expect(new Set(world.receiver.received.map((it) => it.id)).size).toBe(2);
    expect(new Set(names()).size).toBe(1);
  });

  it("brings the newest event first when it is told to reorder", async () => {
    world.sandbox.control.misdeliver({ reorder: 3 });
    await create(3);
    await world.sandbox.control.idle();
    const listed = (await stripe.events.list({ type: "customer.created", limit: 3 })).data;
    expect(world.receiver.received.map((it) => it.id)).toEqual(listed.map((it) => it.id));
  });

  it("drops, and the events list tells which; they can be sent later", async () => {
    world.sandbox.control.misdeliver({ dropNext: 2 });
    await create(3);
    await world.sandbox.control.idle();
    expect(world.receiver.received).toHaveLength(1);
    expect((await stripe.events.list({ delivery_success: false })).data).toHaveLength(2);
    expect(await world.sandbox.control.resendUndelivered()).toBe(2);
    expect(world.receiver.received).toHaveLength(3);
    expect((await stripe.events.list({ delivery_success: false })).data).toHaveLength(0);
  });

  it("pauses and goes on", async () => {
    world.sandbox.control.misdeliver({ paused: true });
    await create(2);
    await world.sandbox.control.idle();
    expect(world.receiver.received).toHaveLength(0);
    world.sandbox.control.wellBehaved();
    await world.sandbox.control.idle();
    expect(world.receiver.received).toHaveLength(2);
  });

  it("sends planned retries and extra copies that fall into a pause once it is over", async () => {
    const retryMs = 300;
    const own = await startWorld({ retryDelaysMs: Array<number>(20).fill(retryMs) });
    const { receiver, sandbox } = own;
    receiver.answer.status = 500;
    const first = await own.stripe.customers.create({ email: email() });
    await sandbox.control.idle();
    sandbox.control.misdeliver({ paused: true, duplicate: 1 });
    receiver.answer.status = 200;
    const second = await own.stripe.customers.create({ email: email() });
    await setTimeout(retryMs * 1.5);
    expect(receiver.received).toHaveLength(0);
    sandbox.control.misdeliver({ paused: false });
    await sandbox.control.idle();
    const received = receiver.received.map((it) => (it.data.object as Stripe.Customer).id);
    expect(received.toSorted()).toEqual([first.id, second.id, second.id].toSorted());
    await own.close();
  });

  it("does not send again after a pause what was on its way before it", async () => {
    world.sandbox.control.misdeliver({ delayMs: 50 });
    await create(1);
    world.sandbox.control.misdeliver({ paused: true });
    await create(2);
    world.sandbox.control.wellBehaved();
    await world.sandbox.control.idle();
    await setTimeout(100);
    await world.sandbox.control.idle();
    expect(new Set(names()).size).toBe(3);
    expect(names()).toHaveLength(3);
  });

  it("signs with a clock that is off, which the SDK refuses", async () => {
    world.sandbox.control.misdeliver({ signatureSkewSeconds: -600 });
    await create(1);
    await world.sandbox.control.idle();
    expect(world.receiver.received).toHaveLength(0);
    const [event] = world.sandbox.control.events("customer.created").slice(-1);
    world.sandbox.control.wellBehaved();
    await world.sandbox.control.resendEvent(event?.id ?? "");
    // Once by us; on a slow machine a scheduled retry may have been delivered as well.
    expect(new Set(world.receiver.received.map(({ id }) => id))).toEqual(new Set([event?.id]));
  });

  it("never calls a host that is not this machine", async () => {
    world.sandbox.control.setWebhookUrl("http://192.0.2.1/webhook");
    await create(1);
    await world.sandbox.control.idle();
    expect((await stripe.events.list({ delivery_success: false, limit: 1 })).data).toHaveLength(1);
    world.sandbox.control.setWebhookUrl(world.receiver.url);
  });

  it("goes to endpoints made by the API with their own secret", async () => {
    const endpoint = await stripe.webhookEndpoints.create({
      url: world.receiver.url,
      enabled_events: ["product.created"],
    });
    expect(endpoint.secret).toMatch(/^whsec_/);
    expect(endpoint.secret).not.toBe(WEBHOOK_SECRET);
    expect(
      (await stripe.webhookEndpoints.list()).data.some(
        (it) => it.id === endpoint.id && it.secret === undefined,
      ),
    ).toBe(true);
    await stripe.webhookEndpoints.del(endpoint.id);
  });
});
