// Subscriptions: read, cancelled, moved to another price.
import type { StripeSubscription } from "../../payment/stripe/port.ts";
import { isRefusal } from "../../payment/stripe/errors.ts";
import { listAll, type StripeCall, type StripeClient, unixSeconds } from "./client.ts";
import { readInvoice, readSubscription } from "./parse.ts";

export const getSubscription: StripeCall<"getSubscription"> = ({ sdk, call }, subscriptionId) =>
  call(
    "subscriptions.retrieve",
    (options) => sdk.subscriptions.retrieve(subscriptionId, {}, options),
    readSubscription,
  );

export const listSubscriptions: StripeCall<"listSubscriptions"> = (client, customerId) =>
  listAll(client, {
    name: "subscriptions.list",
    run: (page, options) =>
      client.sdk.subscriptions.list({ customer: customerId, ...page }, options),
    read: readSubscription,
  });

/** Resolves to the current subscription if it is as the write wanted it, otherwise to null. */
async function findSubscription(
  client: StripeClient,
  subscriptionId: string,
  isDone: (subscription: StripeSubscription) => boolean,
): Promise<StripeSubscription | null> {
  const current = await getSubscription(client, subscriptionId);
  return isDone(current) ? current : null;
}

export const setCancellation: StripeCall<"setCancellation"> = (client, id, change, key) =>
  client.write({
    name: "subscriptions.update",
    key,
    run: (options) =>
      client.sdk.subscriptions.update(
        id,
        // Stripe accepts one of the two at a time; an end with the period replaces any date.
        change === "clearDate"
          ? { cancel_at: "" }
          : { cancel_at_period_end: change === "atPeriodEnd" },
        options,
      ),
    read: readSubscription,
    find: () =>
      findSubscription(client, id, (current) =>
        change === "clearDate"
          ? current.cancelAt === null
          : current.cancelAtPeriodEnd === (change === "atPeriodEnd"),
      ),
  });

export const cancelSubscription: StripeCall<"cancelSubscription"> = async (client, id, key) => {
  const findEnded = () => findSubscription(client, id, hasEnded);
  try {
    return await client.write({
      name: "subscriptions.cancel",
      key,
      run: (options) =>
        client.sdk.subscriptions.cancel(id, { prorate: false, invoice_now: false }, options),
      read: readSubscription,
      find: findEnded,
    });
  } catch (error) {
    // Stripe responds with 404 or 400 when it had already ended: the current object shows that.
    if (!isRefusal(error, "missing") && !isRefusal(error, "invalid")) throw error;
    const ended = await findEnded();
    if (ended === null) throw error;
    return ended;
  }
};

function hasEnded({ endedAt, status }: StripeSubscription): boolean {
  return endedAt !== null || status === "canceled";
}

export const changePrice: StripeCall<"changePrice"> = (client, input, key) => {
  const { subscriptionId, itemId, priceId, prorationDate } = input;
  return client.write({
    name: "subscriptions.update",
    key,
    run: (options) =>
      client.sdk.subscriptions.update(
        subscriptionId,
        {
          items: [{ id: itemId, price: priceId }],
          proration_behavior: "always_invoice",
          proration_date: unixSeconds(prorationDate),
          payment_behavior: "error_if_incomplete",
        },
        options,
      ),
    read: readSubscription,
    find: () =>
      findSubscription(client, subscriptionId, ({ items }) =>
        items.some((item) => item.id === itemId && item.priceId === priceId),
      ),
  });
};

export const previewPriceChange: StripeCall<"previewPriceChange"> = ({ sdk, call }, input) =>
  call(
    "invoices.createPreview",
    (options) =>
      sdk.invoices.createPreview(
        {
          customer: input.customerId,
          subscription: input.subscriptionId,
          subscription_details: {
            items: [{ id: input.itemId, price: input.priceId }],
            proration_behavior: "always_invoice",
            ...(input.prorationDate === undefined
              ? {}
              : { proration_date: unixSeconds(input.prorationDate) }),
          },
        },
        options,
      ),
    readInvoice,
  );
