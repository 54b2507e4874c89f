// No webhook, however bad, changes what it should not, and good ones count once.
import { createHmac } from "node:crypto";
import { request } from "node:http";
import { gzipSync } from "node:zlib";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { WEBHOOK_SECRET } from "../../support/shop.ts";
import { useShop } from "../../support/use-app.ts";

interface Sent {
  secret?: string;
  header?: string | null;
  at?: number;
  headers?: Record<string, string>;
}

describe("webhooks", () => {
  const world = useShop({ available, webhooks: false });
  let userId: string;
  let sessionId: string;
  let packageId: string;
  let events = 0;

  const sign = (body: string | Buffer, secret: string, at: number, scheme = "v1") =>
    `${scheme}=${createHmac("sha256", secret).update(`${at}.`).update(body).digest("hex")}`;

  /** Posts a body, correctly signed by default; resolves with the status. */
  async function post(body: string | Buffer, sent: Sent = {}): Promise<number> {
    const at = sent.at ?? Math.floor(world.clock.now() / 1000);
    const header =
      sent.header === undefined
        ? `t=${at},${sign(body, sent.secret ?? WEBHOOK_SECRET, at)}`
        : sent.header;
    const answer = await fetch(`${world.url}/api/payment/webhook`, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        ...(header === null ? {} : { "Stripe-Signature": header }),
        ...sent.headers,
      },
      body: typeof body === "string" ? body : new Uint8Array(body),
    });
    if (answer.status === 200) expect(await answer.json()).toEqual({ received: true });
    else await answer.text();
    return answer.status;
  }

  function event(overrides: Record<string, unknown> = {}, object: Record<string, unknown> = {}) {
    events += 1;
    return {
      id: `evt_test_${events}_${Math.random().toString(36).slice(2)}`,
      object: "event",
      api_version: "2026-10-28.endive",
      created: Math.floor(world.clock.now() / 1000),
      livemode: false,
      pending_webhooks: 1,
      request: null,
      type: "checkout.session.completed",
      data: { object: { id: sessionId, object: "checkout.session", ...object } },
      ...overrides,
    };
  }

  beforeAll(async () => {
    packageId = (await world.payment.packages()).packages[0]?.id ?? "";
  });
  beforeEach(async () => {
    userId = await world.createUser();
    sessionId = await world.buy(userId, packageId);
  });

  const nothingHappened = async () => {
    expect(await world.credits(userId)).toBe(0);
    const payments = await world.models.payment.findMany({ where: { userId } });
    expect(payments.map(({ status }) => status)).toEqual(["PENDING"]);
  };

  it("refuses no, a wrong, an old, a future, a damaged and a v0-only signature", async () => {
    const body = JSON.stringify(event());
    const now = Math.floor(world.clock.now() / 1000);
    const before = await world.models.stripeEvent.count();
    for (const sent of [
      { header: null },
      { header: "" },
      { header: "nonsense" },
      { header: `t=${now}` },
      { header: `v1=${"0".repeat(64)}` },
      { header: `t=${now},v1=${"0".repeat(64)}` },
      { header: `t=${now},v1=zz` },
      { header: `t=${now},t=${now - 1000},${sign(body, WEBHOOK_SECRET, now)}` },
      { secret: "whsec_other" },
      { at: now - 301 },
      { at: now + 400 },
      { header: `t=${now},${sign(body, WEBHOOK_SECRET, now, "v0")}` },
      { header: "t=1,".repeat(2000) },
    ])
      expect(await post(body, sent), JSON.stringify(sent).slice(0, 200)).toBe(400);
    const header = `t=${now},${sign(body, WEBHOOK_SECRET, now)}`;
    expect(await post(body.replace("evt_", "evx_"), { header })).toBe(400);
    expect(await world.models.stripeEvent.count()).toBe(before);
    await nothingHappened();
  });

  it("accepts any of the configured secrets and one right v1 of two", async () => {
    const body = JSON.stringify(event());
    const now = Math.floor(world.clock.now() / 1000);
    const header = `t=${now},v1=${"0".repeat(64)},${sign(body, "whsec_former", now)}`;
    expect(await post(body, { header })).toBe(200);
    expect(await world.credits(userId)).toBe(100);
  });

  it("refuses the other mode and connected accounts", async () => {
    expect(await post(JSON.stringify(event({ livemode: true })))).toBe(400);
    expect(await post(JSON.stringify(event({ account: "acct_other" })))).toBe(400);
    await nothingHappened();
  });

  it("refuses what is not an event", async () => {
    const bad = [
      "",
      "not json",
      "[]",
      "null",
      '"text"',
      "42",
      "{}",
      JSON.stringify(event({ id: undefined })),
      JSON.stringify(event({ id: 7 })),
      JSON.stringify(event({ id: "evt_'; DROP TABLE users" })),
      JSON.stringify(event({ id: `evt_${"x".repeat(300)}` })),
      JSON.stringify(event({ type: undefined })),
      JSON.stringify(event({ data: undefined })),
      JSON.stringify(event({ data: { object: null } })),
      JSON.stringify(event({ data: { object: [] } })),
      JSON.stringify(event({ created: "yesterday" })),
      // Years that databases do not support.
      JSON.stringify(event({ created: 253_402_300_800 })),
      ...["+010000-01-01T00:00:00.000Z", "-000001-01-01T00:00:00.000Z"].map((created) =>
        JSON.stringify(event({ object: "v2.core.event", created })),
      ),
      JSON.stringify(event({}, { id: undefined })),
      JSON.stringify(event({}, { object: undefined })),
      JSON.stringify(event({}, { id: { $ne: null } })),
    ];
    for (const body of bad) expect(await post(body), body.slice(0, 120)).toBe(400);
    await nothingHappened();
  });

  it("takes unknown types, and unknown objects, and ignores them with a reason", async () => {
    const strange = event({ type: "balance.available", data: { object: { object: "balance" } } });
    expect(await post(JSON.stringify(strange))).toBe(200);
    const foreign = event({}, { id: "cs_test_not_ours" });
    expect(await post(JSON.stringify(foreign))).toBe(200);
    const lean = { ...event({ type: "a.new.type", data: { object: {} } }), created: undefined };
    expect(await post(JSON.stringify(lean))).toBe(200);
    for (const { id } of [strange, foreign, lean]) {
      const row = await world.models.stripeEvent.findUniqueOrThrow({ where: { id } });
      expect(row.status).toBe("IGNORED");
      expect(row.lastError).toBeTruthy();
    }
    await nothingHappened();
  });

  it("survives prototype keys, duplicate keys and 10,000 levels", async () => {
    const text = JSON.stringify(event());
    const spiked = text.replace(
      '"data":{',
      '"__proto__":{"livemode":true},"constructor":{"prototype":{"polluted":1}},"data":{"__proto__":{"object":1},',
    );
    expect(await post(spiked)).toBe(200);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
    expect(await world.credits(userId)).toBe(100);
    const deep = JSON.stringify(event({ deep: "HERE" })).replace(
      '"HERE"',
      `${"[".repeat(10_000)}${"]".repeat(10_000)}`,
    );
    expect(await post(deep)).toBe(200);
    const doubled = JSON.stringify(event()).replace(
      '"livemode":false',
      '"livemode":true,"livemode":false',
    );
    expect(await post(doubled)).toBe(200);
    expect(await world.credits(userId)).toBe(100);
  });

  it("refuses 10 MB and gzip without reading them into memory, takes chunks and any content type", async () => {
    const big = Buffer.alloc(10 * 1024 * 1024, 32);
    expect(await post(big)).toBe(413);
    const body = JSON.stringify(event());
    const zipped = gzipSync(body);
    expect(await post(zipped, { headers: { "Content-Encoding": "gzip" } })).toBe(415);
    await nothingHappened();
    expect(await post(body, { headers: { "Content-Type": "text/plain" } })).toBe(200);
    expect(await world.credits(userId)).toBe(100);
    const chunked = JSON.stringify(event());
    const at = Math.floor(world.clock.now() / 1000);
    const status = await new Promise((resolve, reject) => {
      const outgoing = request(
        `${world.url}/api/payment/webhook`,
        {
          method: "POST",
          headers: {
            "Transfer-Encoding": "chunked",
            "Stripe-Signature": `t=${at},${sign(chunked, WEBHOOK_SECRET, at)}`,
          },
        },
        (answer) => resolve(answer.resume().statusCode),
      );
      outgoing.on("error", reject);
      for (const letter of chunked.match(/.{1,40}/g) ?? []) outgoing.write(letter);
      outgoing.end();
    });
    expect(status).toBe(200);
  });

  it("takes the same id fifty times at once, and the same object under new ids, for one", async () => {
    const body = JSON.stringify(event());
    const statuses = await Promise.all(Array.from({ length: 50 }, () => post(body)));
    expect(new Set(statuses)).toEqual(new Set([200]));
    const others = await Promise.all(
      Array.from({ length: 10 }, () => post(JSON.stringify(event()))),
    );
    expect(new Set(others)).toEqual(new Set([200]));
    expect(await world.credits(userId)).toBe(100);
    expect(await world.models.creditLog.count({ where: { userId } })).toBe(1);
    expect(await brokenInvariants(world.models, userId)).toEqual([]);
  });

  it("believes neither amounts nor metadata of the body, and understands old shapes", async () => {
    const forged = event(
      { api_version: "2015-10-16", pending_webhooks: 0 },
      {
        amount_total: 1,
        amount_subtotal: 1,
        currency: "jpy",
        payment_status: "paid",
        client_reference_id: "somebody",
        metadata: { credits: "1000000", userId: "somebody", checkoutId: "x" },
      },
    );
    expect(await post(JSON.stringify(forged))).toBe(200);
    expect(await world.credits(userId)).toBe(100);
    const [payment] = await world.models.payment.findMany({ where: { userId } });
    expect(payment).toMatchObject({ amount: 500, currency: "usd", creditsPurchased: 100 });
  });

  it("does not believe a body that says paid when Stripe says open", async () => {
    const other = await world.createUser();
    const { sessionId: open } = await world.payment.checkout(other, { packageId });
    const forged = event({}, { id: open, payment_status: "paid", status: "complete" });
    expect(await post(JSON.stringify(forged))).toBe(200);
    expect(await world.credits(other)).toBe(0);
  });

  it("stores nothing of the person and keeps a failure with its reason, then mends it", async () => {
    const customerId = await world.customerOf(userId);
    world.sandbox.stripe.control.misbehave({
      fault: "500",
      path: "/v1/checkout/sessions",
      times: 20,
    });
    const failing = event({}, { customer_email: "person@example.com", customer: customerId });
    expect(await post(JSON.stringify(failing))).toBe(500);
    world.sandbox.stripe.control.wellBehaved();
    const row = await world.models.stripeEvent.findUniqueOrThrow({ where: { id: failing.id } });
    expect(row).toMatchObject({ status: "FAILED", attempts: 1 });
    expect(row.lastError).toContain("unavailable");
    expect(row.payload).not.toContain("person@example.com");
    await nothingHappened();
    expect(await world.payment.retryEvents()).toBe(0);
    world.travel({ minutes: 10 });
    expect(await world.payment.retryEvents()).toBeGreaterThanOrEqual(1);
    expect(await world.credits(userId)).toBe(100);
    expect((await world.payment.replayEvent(failing.id)).status).toBe("PROCESSED");
    expect(await world.credits(userId)).toBe(100);
  });

  it("lists events by state and page", async () => {
    for (let n = 0; n < 5; n += 1) expect(await post(JSON.stringify(event()))).toBe(200);
    const first = await world.payment.listEvents({ limit: 2 });
    expect(first.events).toHaveLength(2);
    const second = await world.payment.listEvents({
      limit: 2,
      cursor: first.nextCursor ?? undefined,
    });
    const ids = [...first.events, ...second.events].map(({ id }) => id);
    expect(new Set(ids).size).toBe(4);
    const failed = await world.payment.listEvents({ limit: 50, status: "FAILED" });
    expect(failed.events.every(({ status }) => status === "FAILED")).toBe(true);
    await expect(world.payment.listEvents({ limit: 2, cursor: "forged" })).rejects.toMatchObject({
      code: "VALIDATION_FAILED",
    });
    await expect(world.payment.replayEvent("evt_none")).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
  });
});
