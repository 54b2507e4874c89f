// A full refund is made only once, and again only if it failed.
import { expect, it } from "vitest";
import type { StripePort, StripeRefund } from "../../../server/payment/stripe/port.ts";
import { refundWhole } from "../../../server/payment/sync/refund-whole.ts";
import { endUnwanted, refundInvoice } from "../../../server/payment/sync/unwanted-subscription.ts";
import { silent } from "../../support/silent.ts";

const order = { paymentIntentId: "pi_1", orderKey: "mispriced:cs_1", reason: "mispriced" };

/** Returns the keys under which a refund of 500 (null: unknown amount) is ordered when Stripe has these `refunds`. */
async function keysAfter(
  refunds: Pick<StripeRefund, "status" | "amount">[],
  paid: number | null = 500,
): Promise<string[]> {
  const keys: string[] = [];
  const stripe = {
    listRefunds: async () => refunds,
    createRefund: async (_order: unknown, key: string) => void keys.push(key),
  } as unknown as StripePort;
  await refundWhole({ stripe, logger: silent }, order, paid);
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

it("gives up after three that failed, whatever made them", async () => {
  const failed = { status: "failed", amount: 500 };
  const canceled = { status: "canceled", amount: 500 };
  expect(await keysAfter([failed, canceled])).toHaveLength(1);
  expect(await keysAfter([failed, canceled, failed])).toEqual([]);
  expect(await keysAfter([failed, failed, failed], null)).toEqual([]);
});

it("orders what is left of each payment intent that paid an invoice", async () => {
  const refunded: Record<string, number[]> = { pi_1: [100], pi_2: [], pi_3: [200] };
  const ordered: string[] = [];
  const stripe = {
    listInvoicePayments: async () =>
      [300, null, 200].map((amountPaid, index) => ({
        paymentIntentId: `pi_${index + 1}`,
        amountPaid,
      })),
    listRefunds: async (id: string) =>
      (refunded[id] ?? []).map((amount) => ({ status: "succeeded", amount })),
    createRefund: async ({ paymentIntentId }: { paymentIntentId: string }) =>
      void ordered.push(paymentIntentId),
  } as unknown as StripePort;
  await refundInvoice({ stripe, logger: silent }, { id: "in_1", amountPaid: 999 }, "duplicate");
  expect(ordered).toEqual(["pi_1", "pi_2"]);
});

it("gives an unwanted subscription's invoices back behind a hundred newer ones of the wanted one", async () => {
  const invoices = Array.from({ length: 102 }, (_, index) => ({
    id: `in_${index}`,
    subscriptionId: index < 100 ? "sub_wanted" : "sub_unwanted",
    amountPaid: 999,
  }));
  const ordered: string[] = [];
  const subscription = { id: "sub_unwanted", customerId: "cus_1", status: "active" };
  const stripe = {
    getSubscription: async () => subscription,
    listInvoices: async ({ limit }: { limit: number }) => invoices.slice(0, limit),
    listInvoicePayments: async (id: string) => [{ paymentIntentId: `pi_${id}`, amountPaid: 999 }],
    listRefunds: async () => [],
    createRefund: async ({ paymentIntentId }: { paymentIntentId: string }) =>
      void ordered.push(paymentIntentId),
    cancelSubscription: async () => ({ ...subscription, status: "canceled" }),
  } as unknown as StripePort;
  await endUnwanted({ stripe, logger: silent }, subscription, "duplicate");
  expect(ordered).toEqual(["pi_in_100", "pi_in_101"]);
});
