// How Stripe's refusals are handled: an archived price is replaced, a refused key is never taken for "none", a customer
// deleted at Stripe is created again.
import { beforeAll, describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { SECRET_KEY } from "../../support/shop.ts";
import { useShop } from "../../support/use-app.ts";

describe("what Stripe refuses", () => {
  // As in production: nothing is closed merely because Stripe does not know it.
  const world = useShop({ available, config: { sandbox: false } });
  let packageId: string;
  let planIds: string[];

  beforeAll(async () => {
    packageId = (await world.payment.packages()).packages[0]?.id ?? "";
    planIds = (await world.payment.plans()).plans
      .filter(({ interval }) => interval === "month")
      .sort((a, b) => a.price - b.price)
      .map(({ id }) => id);
    await world.payment.syncCatalog();
  });

  const [cheap, dear] = [() => planIds[0] ?? "", () => planIds[1] ?? ""];
  /** Does what a person would do in the dashboard. */
  const atStripe = async (method: "POST" | "DELETE", path: string, body = ""): Promise<void> => {
    const answer = await fetch(`${world.sandbox.stripe.url}/v1/${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${SECRET_KEY}`,
        ...(body === "" ? {} : { "Content-Type": "application/x-www-form-urlencoded" }),
      },
      ...(body === "" ? {} : { body }),
    });
    if (!answer.ok) throw new Error(await answer.text());
  };
  const priceOfPlan = async (planId: string): Promise<string> =>
    (await world.models.plan.findUniqueOrThrow({ where: { id: planId } })).stripePriceId ?? "";
  const archivePrice = (priceId: string) => atStripe("POST", `prices/${priceId}`, "active=false");
  /** Refuses with a message only (no code), as Stripe refuses archived prices. */
  const refuseOnce = (path: string) =>
    world.sandbox.stripe.control.misbehave({
      fault: "500",
      method: "POST",
      path,
      error: {
        status: 400,
        type: "invalid_request_error",
        message: "The price specified is inactive. This field only accepts active prices.",
      },
    });
  const subscriber = async (planId: string): Promise<string> => {
    const userId = await world.createUser();
    await world.subscribe(userId, planId);
    await world.settled();
    expect((await world.payment.subscription(userId)).subscription?.planId).toBe(planId);
    return userId;
  };

  describe("an archived price", () => {
    it("is replaced by a fresh one when somebody subscribes, twice within a day", async () => {
      for (let round = 0; round < 2; round += 1) {
        const former = await priceOfPlan(cheap());
        await archivePrice(former);
        await subscriber(cheap());
        expect(await priceOfPlan(cheap())).not.toBe(former);
      }
    });

    it("is replaced when only its product is archived", async () => {
      await atStripe("POST", `products/skywork_plan_${cheap()}`, "active=false");
      refuseOnce("/v1/checkout/sessions");
      await subscriber(cheap());
    });

    it("does not keep a package from being sold", async () => {
      const { stripePriceId } = await world.models.creditPackage.findUniqueOrThrow({
        where: { id: packageId },
      });
      await archivePrice(stripePriceId ?? "");
      const userId = await world.createUser();
      await world.buy(userId, packageId);
      await world.settled();
      expect(await world.credits(userId)).toBe(100);
    });

    it("is replaced by stripe:sync, for packages and plans", async () => {
      await world.payment.syncCatalog();
      const former = await priceOfPlan(dear());
      await archivePrice(former);
      const lines = await world.payment.syncCatalog();
      expect(lines.find((line) => line.startsWith(`plan ${dear()}:`))).toContain("created");
      const price = await priceOfPlan(dear());
      expect(price).not.toBe(former);
      expect(lines.join("\n")).toContain(price);
    });

    it("is replaced when a plan change is previewed, and the change is made at that price", async () => {
      const userId = await subscriber(cheap());
      const former = await priceOfPlan(dear());
      await archivePrice(former);
      refuseOnce("/v1/invoices/create_preview");
      const { previewToken } = await world.payment.previewPlanChange(userId, { planId: dear() });
      expect(await priceOfPlan(dear())).not.toBe(former);
      const { subscription } = await world.payment.changePlan(userId, {
        planId: dear(),
        previewToken,
      });
      expect(subscription.planId).toBe(dear());
    });

    it("leaves a refusal alone that is not about the price", async () => {
      const userId = await world.createUser();
      const price = await priceOfPlan(cheap());
      refuseOnce("/v1/checkout/sessions");
      await expect(world.payment.subscribe(userId, { planId: cheap() })).rejects.toMatchObject({
        code: "PAYMENT_PROVIDER_ERROR",
      });
      expect(await priceOfPlan(cheap())).toBe(price);
    });
  });

  describe.each([401, 403, 404])("a %i about our key or the URL", (status) => {
    const refuse = (path: string) =>
      world.sandbox.stripe.control.misbehave({
        fault: "500",
        path,
        times: 50,
        error: { status, type: "invalid_request_error", message: "Refused." },
      });

    it("is a failure of the provider for deletion, subscribe, checkout, portal and invoices", async () => {
      const userId = await subscriber(cheap());
      const customerId = await world.customerOf(userId);
      for (const path of ["/v1/subscriptions", "/v1/customers", "/v1/checkout", "/v1/"]) {
        refuse(path);
        const providerError = { code: "PAYMENT_PROVIDER_ERROR" };
        if (path === "/v1/subscriptions" || path === "/v1/") {
          await expect(world.payment.endSubscription(userId)).rejects.toMatchObject(providerError);
          const stranger = await world.createUser();
          await world.models.user.update({
            where: { id: stranger },
            data: { stripeCustomerId: `cus_of_${stranger.slice(-8)}` },
          });
          await expect(
            world.payment.subscribe(stranger, { planId: cheap() }),
          ).rejects.toMatchObject(providerError);
        }
        if (path === "/v1/checkout" || path === "/v1/")
          await expect(world.payment.checkout(userId, { packageId })).rejects.toMatchObject(
            providerError,
          );
        if (path === "/v1/") {
          await expect(world.payment.portal(userId)).rejects.toMatchObject(providerError);
          await expect(world.payment.invoices(userId)).rejects.toMatchObject(providerError);
        }
        world.sandbox.stripe.control.wellBehaved();
      }
      expect(await world.customerOf(userId)).toBe(customerId);
      expect((await world.payment.subscription(userId)).subscription?.status).toBe("active");
      await world.payment.endSubscription(userId);
      expect((await world.payment.subscription(userId)).subscription).toBeNull();
    });
  });

  it("erases nobody whose subscription the key's account does not know: in its own it goes on billing", async () => {
    const userId = await subscriber(cheap());
    world.sandbox.stripe.control.misbehave({
      fault: "500",
      path: "/v1/subscriptions",
      times: 50,
      error: {
        status: 404,
        type: "invalid_request_error",
        code: "resource_missing",
        message: "No such subscription",
      },
    });
    await expect(world.payment.endSubscription(userId)).rejects.toMatchObject({
      code: "PAYMENT_PROVIDER_ERROR",
    });
    world.sandbox.stripe.control.wellBehaved();
    expect((await world.payment.subscription(userId)).subscription?.status).toBe("active");
    await world.payment.endSubscription(userId);
    expect((await world.payment.subscription(userId)).subscription).toBeNull();
  });

  describe("a customer deleted at Stripe", () => {
    it("is made anew by the portal, by checkout and by subscribe; invoices are none", async () => {
      const userId = await world.createUser();
      const seen = new Set<string>();
      const ways = [
        () => world.payment.portal(userId),
        () => world.payment.checkout(userId, { packageId }),
        () => world.payment.subscribe(userId, { planId: cheap() }),
        () => world.payment.portal(userId),
      ];
      await world.payment.portal(userId);
      for (const way of ways) {
        const customerId = await world.customerOf(userId);
        seen.add(customerId);
        await atStripe("DELETE", `customers/${customerId}`);
        expect(await world.payment.invoices(userId)).toEqual({ invoices: [] });
        await way();
        expect(seen.has(await world.customerOf(userId))).toBe(false);
      }
    });

    it("leaves the invoices of its time among the user's, newest first", async () => {
      const userId = await subscriber(cheap());
      const former = await world.customerOf(userId);
      const [first] = (await world.payment.invoices(userId)).invoices;
      await atStripe("DELETE", `customers/${former}`);
      await world.settled();
      expect((await world.payment.invoices(userId)).invoices).toEqual([first]);
      await world.payment.portal(userId);
      expect(await world.customerOf(userId)).not.toBe(former);
      expect((await world.payment.invoices(userId)).invoices).toEqual([first]);
      world.travel({ days: 1 });
      await world.subscribe(userId, cheap());
      await world.settled();
      const { invoices } = await world.payment.invoices(userId);
      expect(invoices).toHaveLength(2);
      expect(invoices[1]).toEqual(first);
    });
  });
});
