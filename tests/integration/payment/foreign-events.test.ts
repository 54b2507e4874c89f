// Signed events about objects that are not ours, or that Stripe does not know, are ignored with 200 and never retried:
// every kind of event that the SDK lists.
import { readFileSync } from "node:fs";
import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { eachOf } from "../../support/seeded-random.ts";
import { SECRET_KEY, WEBHOOK_SECRET } from "../../support/shop.ts";
import { useShop } from "../../support/use-app.ts";

const snake = (name: string): string =>
  name
    .split(".")
    .map((part) => part.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toLowerCase())
    .join(".");

/** Returns every event type of the SDK with the type name of its object. */
function sdkEvents(): { type: string; object: string }[] {
  const file = new URL(import.meta.resolve("stripe"));
  const text = readFileSync(new URL("resources/Events.d.ts", file), "utf8");
  const pattern =
    /type: '([^']+)';\s+data: \w+\.Data;[^}]*\}[^{]*\{\s+interface Data extends Event\.Data \{\s+object: ([\w.]+)/g;
  return [...text.matchAll(pattern)].map(([, type = "", object = ""]) => ({
    type,
    object: snake(object),
  }));
}

describe("events about what is not ours", () => {
  const world = useShop({ available, webhooks: false });
  let sent = 0;

  async function post(event: object): Promise<number> {
    const body = JSON.stringify(event);
    const at = Math.floor(world.clock.now() / 1000);
    const mac = createHmac("sha256", WEBHOOK_SECRET).update(`${at}.${body}`).digest("hex");
    const answer = await fetch(`${world.url}/api/payment/webhook`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Stripe-Signature": `t=${at},v1=${mac}` },
      body,
    });
    await answer.text();
    return answer.status;
  }

  const eventOf = (type: string, object: object) => {
    sent += 1;
    return {
      id: `evt_foreign${sent}`,
      object: "event",
      api_version: "2026-10-28.endive",
      created: Math.floor(world.clock.now() / 1000),
      livemode: false,
      type,
      data: { object },
    };
  };

  const atStripe = async (path: string, fields: Record<string, string>): Promise<string> => {
    const answer = await fetch(`${world.sandbox.stripe.url}/v1/${path}`, {
      method: "POST",
      headers: { Authorization: `Bearer ${SECRET_KEY}` },
      body: new URLSearchParams(fields),
    });
    const made = (await answer.json()) as { id?: string };
    if (made.id === undefined) throw new Error(JSON.stringify(made));
    return made.id;
  };

  const notIgnored = () =>
    world.models.stripeEvent.findMany({
      where: { status: { not: "IGNORED" } },
      select: { type: true, status: true, lastError: true },
    });

  it("answers 200 and IGNORED for every event type of the SDK about objects nobody knows", async () => {
    const kinds = sdkEvents();
    expect(kinds.length).toBeGreaterThan(250);
    const references = [
      // As sent for a payment intent, for a charge without one, and for an object without references.
      { payment_intent: "pi_unknown", charge: "ch_unknown" },
      { payment_intent: null, charge: "ch_unknown" },
      { payment_intent: null, charge: null },
    ];
    const events = kinds.flatMap(({ type, object }) =>
      references.map((refs, index) =>
        eventOf(type, {
          ...(object.startsWith("balance")
            ? {}
            : { id: `obj_${object.replace(".", "_")}${index}` }),
          object,
          ...refs,
          customer: "cus_unknown",
          subscription: "sub_unknown",
          invoice: "in_unknown",
        }),
      ),
    );
    const bad: string[] = [];
    await eachOf(events, 8, async (event) => {
      const status = await post(event);
      if (status !== 200) bad.push(`${event.type}: ${status}`);
    });
    expect(bad).toEqual([]);
    expect(await notIgnored()).toEqual([]);
  }, 120_000);

  it("ignores an event of the newer kind, which carries no object", async () => {
    const event = {
      id: "evt_v2_foreign",
      object: "v2.core.event",
      type: "v1.billing.meter.error_report_triggered",
      created: new Date(world.clock.now()).toISOString(),
      livemode: false,
      related_object: { id: "mtr_1", type: "billing.meter", url: "/v1/billing/meters/mtr_1" },
    };
    expect(await post(event)).toBe(200);
    expect(await notIgnored()).toEqual([]);
  });

  it("answers 200 for all events of another shop's purchases in the same account", async () => {
    const before = world.sandbox.stripe.control.events().length;
    const customer = await atStripe("customers", { email: "foreign@example.com" });
    for (const mode of ["payment", "subscription"]) {
      const session = await atStripe("checkout/sessions", {
        mode,
        customer,
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][unit_amount]": "700",
        "line_items[0][price_data][product_data][name]": "Something else",
        ...(mode === "payment"
          ? {}
          : { "line_items[0][price_data][recurring][interval]": "month" }),
        success_url: "https://elsewhere.example/",
        client_reference_id: "theirs",
      });
      world.sandbox.stripe.control.completeCheckout(session);
    }
    const paid = world.sandbox.stripe.control.events("payment_intent.succeeded").slice(-2);
    for (const event of paid) {
      const { id = "" } = event.data.object as { id?: string };
      await atStripe("refunds", { payment_intent: id, amount: "100" });
      world.sandbox.stripe.control.openDispute(id);
    }
    const events = world.sandbox.stripe.control.events().slice(before);
    expect(events.map(({ type }) => type)).toContain("charge.dispute.created");
    expect(events.map(({ type }) => type)).toContain("invoice.paid");
    for (const event of events) expect(await world.deliver(event), event.type).toBe(200);
    expect(await notIgnored()).toEqual([]);
  });

  it("ignores an invoice whose subscription Stripe does not know", async () => {
    const invoice = world.sandbox.stripe.control.events("invoice.paid").at(-1);
    if (invoice === undefined) throw new Error("no invoice");
    const body = JSON.stringify(invoice.data.object);
    const subscription = /"sub_[A-Za-z0-9]+"/.exec(body)?.[0].slice(1, -1) ?? "";
    world.sandbox.stripe.control.misbehave({
      fault: "500",
      path: `/v1/subscriptions/${subscription}`,
      times: 50,
      error: {
        status: 404,
        type: "invalid_request_error",
        code: "resource_missing",
        message: "No such subscription",
      },
    });
    expect(await world.deliver(invoice, 0, "evt_unknown_subscription")).toBe(200);
    world.sandbox.stripe.control.wellBehaved();
    expect(await notIgnored()).toEqual([]);
  });
});
