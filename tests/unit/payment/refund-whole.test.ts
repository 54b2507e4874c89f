// What is given back whole is given back once, and again where it did not arrive.
import { expect, it } from "vitest";
import { createLogger } from "../../../server/lib/logger.ts";
import type { StripePort, StripeRefund } from "../../../server/payment/stripe/port.ts";
import { refundWhole } from "../../../server/payment/sync/refund-whole.ts";

const order = { paymentIntentId: "pi_1", orderKey: "mispriced:cs_1", reason: "mispriced" };

/** The keys under which a refund of 500, or of nobody knows how much, is ordered when Stripe knows of `refunds`. */
async function keysAfter(
  refunds: Pick<StripeRefund, "status" | "amount">[],
  paid: number | null = 500,
): Promise<string[]> {
  const keys: string[] = [];
  const stripe = {
    listRefunds: async () => refunds,
    createRefund: async (_order: unknown, key: string) => void keys.push(key),
  } as unknown as StripePort;
  await refundWhole({ stripe, logger: createLogger({ level: "silent" }) }, order, paid);
  return keys;
}

it("orders no second refund beside one that is there or under way", async () => {
  expect(await keysAfter([])).toHaveLength(1);
  expect(await keysAfter([{ status: "succeeded", amount: 500 }])).toEqual([]);
  expect(await keysAfter([{ status: "pending", amount: 500 }])).toEqual([]);
});

it("orders what is left when only a part is refunded, as far as that is known", async () => {
  const part = { status: "succeeded", amount: 100 };
  expect(await keysAfter([part])).toHaveLength(1);
  expect(await keysAfter([part, { status: "succeeded", amount: 400 }])).toEqual([]);
  expect(await keysAfter([part], null)).toEqual([]);
  expect(await keysAfter([], null)).toHaveLength(1);
});

it("orders another one, under a key of its own, when the first has failed", async () => {
  const [first] = await keysAfter([]);
  const [second] = await keysAfter([{ status: "failed", amount: 500 }]);
  expect(second).toBeTypeOf("string");
  expect(second).not.toBe(first);
});
