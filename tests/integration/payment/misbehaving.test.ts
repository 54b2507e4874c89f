// The Stripe half of promise 12: whatever Stripe does, calls are bounded, errors are typed, and nothing is half done.
import { beforeAll, describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { useShop } from "../../support/use-app.ts";
import { within } from "../../support/own-time.ts";

describe("Stripe misbehaving", () => {
  const world = useShop({
    available,
    webhooks: false,
    limits: { attemptTimeoutMs: 1_000, deadlineMs: 3_000, maxAttempts: 4, baseDelayMs: 20 },
  });
  let packageId: string;

  beforeAll(async () => {
    packageId = (await world.payment.packages()).packages[0]?.id ?? "";
  });

  it("is bounded and typed whatever Stripe does, and nothing is half done", async () => {
    const { control } = world.sandbox.stripe;
    const faults = [
      ...(["429", "500", "502-empty", "html", "html-200", "half"] as const),
      ...(["hang", "cut-before", "cut-after"] as const),
    ];
    for (const fault of faults) {
      const userId = await world.createUser();
      control.misbehave({ fault, times: 50, retryAfterSeconds: 60 });
      const refusal: unknown = await within(30_000, () =>
        world.payment.checkout(userId, { packageId }).catch((error: unknown) => error),
      );
      expect(refusal, fault).toMatchObject({ code: "PAYMENT_PROVIDER_ERROR", httpStatus: 502 });
      if (fault === "hang") expect(String((refusal as Error).cause)).toContain("No answer within");
      control.wellBehaved();
      const { sessionId } = await world.payment.checkout(userId, { packageId });
      control.completeCheckout(sessionId);
      control.misbehave({ fault, times: 50, retryAfterSeconds: 60 });
      const event = control.events("checkout.session.completed").at(-1);
      if (event === undefined) throw new Error("no event");
      expect(await world.deliver(event), fault).toBe(500);
      control.wellBehaved();
      expect(await world.deliver(event), fault).toBe(200);
      expect(await world.credits(userId), fault).toBe(100);
      expect(await brokenInvariants(world.models, userId), fault).toEqual([]);
    }
    // A single 429 with Retry-After is waited for rather than passed on.
    const patient = await world.createUser();
    control.misbehave({ fault: "429", retryAfterSeconds: 1, path: "/v1/checkout/sessions" });
    const startedAt = Date.now();
    await world.payment.checkout(patient, { packageId });
    expect(Date.now() - startedAt).toBeGreaterThanOrEqual(900);
  }, 180_000);
});
