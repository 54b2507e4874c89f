// What is given back whole is given back once, and again where it did not arrive.
import { expect, it } from "vitest";
import type { StripePort, StripeRefund } from "../../../server/payment/stripe/port.ts";
import { refundWhole } from "../../../server/payment/sync/refund-whole.ts";
import { silent } from "../../support/silent.ts";

const order = { paymentIntentId: "pi_1", orderKey: "mispriced:cs_1", reason: "mispriced" };

/** The keys under which a refund is ordered when Stripe knows of `refunds`. */
async function keysAfter(refunds: Pick<StripeRefund, "status" | "amount">[]): Promise<string[]> {
  const keys: string[] = [];
  const stripe = {
    listRefunds: async () => refunds,
    createRefund: async (_order: unknown, key: string) => void keys.push(key),
  } as unknown as StripePort;
  await refundWhole({ stripe, logger: silent }, order);
  return keys;
}

it("orders no second refund beside one that is there or under way", async () => {
  expect(await keysAfter([])).toHaveLength(1);
  expect(await keysAfter([{ status: "succeeded", amount: 500 }])).toEqual([]);
  expect(await keysAfter([{ status: "pending", amount: 500 }])).toEqual([]);
});

it("orders another one, under a key of its own, when the first has failed", async () => {
  const [first] = await keysAfter([]);
  const [second] = await keysAfter([{ status: "failed", amount: 500 }]);
  expect(second).toBeTypeOf("string");
  expect(second).not.toBe(first);
});
