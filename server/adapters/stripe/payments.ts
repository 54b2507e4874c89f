// Payment intents, and the refunds and disputes that take their money back.
import type { StripePort, StripeRefund } from "../../payment/stripe/port.ts";
import { listAll, type StripeCall, type StripeClient } from "./client.ts";
import { readCharge, readDispute, readPaymentIntentStatus, readRefund } from "./parse.ts";

export const getPaymentIntentStatus: StripeCall<"getPaymentIntentStatus"> = ({ sdk, call }, id) =>
  call(
    "paymentIntents.retrieve",
    (options) => sdk.paymentIntents.retrieve(id, {}, options),
    readPaymentIntentStatus,
  );

export const getChargePaymentIntent: StripeCall<"getChargePaymentIntent"> = ({ sdk, call }, id) =>
  call("charges.retrieve", (options) => sdk.charges.retrieve(id, {}, options), readCharge);

export const listRefunds: StripeCall<"listRefunds"> = (client, paymentIntentId) =>
  listAll(client, {
    name: "refunds.list",
    run: (page, options) =>
      client.sdk.refunds.list({ payment_intent: paymentIntentId, ...page }, options),
    read: readRefund,
  });

export const listDisputes: StripeCall<"listDisputes"> = (client, paymentIntentId) =>
  listAll(client, {
    name: "disputes.list",
    run: (page, options) =>
      client.sdk.disputes.list({ payment_intent: paymentIntentId, ...page }, options),
    read: readDispute,
  });

export function createRefund(
  client: StripeClient,
  input: Parameters<StripePort["createRefund"]>[0],
  key: string,
): Promise<StripeRefund> {
  const { paymentIntentId, amount, orderKey, ordered, reason } = input;
  return client.write({
    name: "refunds.create",
    key,
    run: (options) =>
      client.sdk.refunds.create(
        {
          payment_intent: paymentIntentId,
          ...(amount === undefined ? {} : { amount }),
          metadata: {
            orderKey,
            ...(ordered === undefined ? {} : { ordered }),
            ...(reason === null ? {} : { reason }),
          },
        },
        options,
      ),
    read: readRefund,
    find: async () => {
      // A failed refund gave nothing back, so it is not the one ordered.
      const made = (await listRefunds(client, paymentIntentId)).filter(
        ({ status }) => status !== "failed" && status !== "canceled",
      );
      return made.find((refund) => refund.orderKey === orderKey) ?? null;
    },
  });
}
