import { describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { merchantOf } from "../../support/merchant.ts";
import { useSubscribers } from "../../support/subscribers.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useShop } from "../../support/use-app.ts";

interface Configuration {
  id: string;
  metadata: Record<string, string>;
  features: { subscription_update: { enabled: boolean }; subscription_cancel: { mode: string } };
}

describe("a merchant's settings", () => {
  const world = useShop({ available, clock: createTestClock("frozen") });
  const on = useSubscribers(world);
  const merchant = merchantOf(world);

  const ours = async (): Promise<Configuration[]> => {
    const { data } = await merchant.get("billing_portal/configurations");
    return (data as Configuration[]).filter(({ metadata }) => metadata["skywork"] === "billing");
  };
  const portalLine = async (): Promise<string | undefined> =>
    (await world.payment.syncCatalog()).find((line) => line.startsWith("portal configuration"));
  const priceOf = (tier: string) => merchant.priceOf(on.plan(tier, "month").id);

  it("opens the portal under a configuration of our own, made on first use, that switches nothing", async () => {
    const userId = await on.subscriber("BASIC", "month");
    expect(await ours()).toEqual([]);
    const { url } = await world.payment.portal(userId);
    const features = {
      subscription_update: { enabled: false },
      subscription_cancel: { enabled: true, mode: "at_period_end" },
    };
    expect(await ours()).toMatchObject([{ features }]);
    expect(await portalLine()).toContain("unchanged");
    await merchant.post(`billing_portal/configurations/${(await ours())[0]?.id}`, {
      "features[subscription_cancel][enabled]": "true",
      "features[subscription_cancel][mode]": "immediately",
    });
    expect(await portalLine()).toContain("updated");
    expect(await ours()).toMatchObject([{ features }]);
    expect(await portalLine()).toContain("unchanged");
    const subscription = await on.stripeIdOf(userId);
    const act = async (name: string, form: Record<string, string>): Promise<number> => {
      const body = new URLSearchParams({ subscription, ...form });
      return (await fetch(`${url}/${name}`, { method: "POST", body, redirect: "manual" })).status;
    };
    expect(await act("switch", { price: await priceOf("TEAM") })).toBe(403);
    expect(await act("quantity", { quantity: "5" })).toBe(403);
    expect(await act("cancel", {})).toBeLessThan(400);
    await world.settled();
    expect(await on.state(userId)).toMatchObject({ tier: "BASIC", cancelAtPeriodEnd: true });
    expect(await world.credits(userId)).toBe(500);
  });

  it("grants the part that is still asked for when a credit note lowers an open invoice", async () => {
    await world.payment.syncCatalog();
    const userId = await on.subscriber("BASIC", "month");
    const customer = await world.customerOf(userId);
    const { control } = world.sandbox.stripe;
    control.setCard(customer, "failing");
    await merchant.change(await on.stripeIdOf(userId), { price: await priceOf("TEAM") });
    const { data } = await merchant.get("invoices", { customer, status: "open" });
    const [invoice] = data as { id: string }[];
    control.issueCreditNote({ invoice: invoice?.id ?? "", amount: 2_000 });
    control.setCard(customer, "ok");
    expect(control.payInvoice(invoice?.id ?? "")).toBe(true);
    await world.settled();
    // 4,500 credits for 40.00, of which 20.00 were never charged.
    expect(await world.credits(userId)).toBe(500 + 4_500 - 2_250);
  });

  it("shows a change that the merchant's own schedule makes, and follows its events", async () => {
    await world.payment.syncCatalog();
    const userId = await on.subscriber("TEAM", "month");
    const { id } = await merchant.post("subscription_schedules", {
      from_subscription: await on.stripeIdOf(userId),
    });
    const { phases } = await merchant.get(`subscription_schedules/${id}`);
    const [phase] = phases as { start_date: number; end_date: number }[];
    await merchant.post(`subscription_schedules/${id}`, {
      "phases[0][items][0][price]": await priceOf("TEAM"),
      "phases[0][start_date]": String(phase?.start_date),
      "phases[0][end_date]": String(phase?.end_date),
      "phases[1][items][0][price]": await priceOf("BASIC"),
      "phases[1][end_date]": String((phase?.end_date ?? 0) + 30 * 86_400),
      proration_behavior: "none",
    });
    await world.settled();
    const { id: basic } = on.plan("BASIC", "month");
    expect(await on.state(userId)).toMatchObject({ tier: "TEAM", pendingPlan: { planId: basic } });
    await merchant.post(`subscription_schedules/${id}/release`);
    await world.settled();
    expect(await on.state(userId)).toMatchObject({ tier: "TEAM", pendingPlan: null });
  });
});
