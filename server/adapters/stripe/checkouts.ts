// Customers and the Checkout sessions they pay in.
import type { NewCheckout, StripeCheckout } from "../../payment/stripe/port.ts";
import { writeNote } from "./checkout-note.ts";
import { listAll, type StripeCall, type StripeClient, unixSeconds } from "./client.ts";
import { readCheckout, readCustomer, readId, readList } from "./parse.ts";

export const createCustomer: StripeCall<"createCustomer"> = (client, input, key) => {
  const { userId, email, name } = input;
  return client.write({
    name: "customers.create",
    key,
    run: (options) =>
      client.sdk.customers.create(
        { email, ...(name === null ? {} : { name }), metadata: { userId } },
        options,
      ),
    read: (answer) => readId(answer, "customer"),
    find: async () => {
      const namesakes = await listAll(client, {
        name: "customers.list",
        run: (page, options) => client.sdk.customers.list({ email, ...page }, options),
        read: readCustomer,
      });
      return namesakes.find((customer) => customer.userId === userId) ?? null;
    },
    findOnReuse: true,
  });
};

export const createCheckout: StripeCall<"createCheckout"> = (client, input, key) => {
  const { note } = input;
  return client.write({
    name: "checkout.sessions.create",
    key,
    run: (options) =>
      client.sdk.checkout.sessions.create(
        {
          mode: input.mode,
          customer: input.customerId,
          client_reference_id: note.checkoutId,
          line_items: [{ ...lineItem(input.price), quantity: 1 }],
          success_url: input.successUrl,
          cancel_url: input.cancelUrl,
          expires_at: unixSeconds(input.expiresAt),
          metadata: writeNote(note),
          allow_promotion_codes: true,
        },
        options,
      ),
    read: readCheckout,
    find: async () => {
      const opened = await listAll(client, {
        name: "checkout.sessions.list",
        run: (page, options) =>
          client.sdk.checkout.sessions.list({ customer: input.customerId, ...page }, options),
        read: readCheckout,
      });
      return opened.find((session) => session.clientReferenceId === note.checkoutId) ?? null;
    },
  });
};

function lineItem(price: NewCheckout["price"]) {
  if ("priceId" in price) return { price: price.priceId };
  return {
    price_data: {
      currency: price.currency,
      unit_amount: price.amount,
      product_data: { name: price.name },
    },
  };
}

export const getCheckout: StripeCall<"getCheckout"> = ({ sdk, call }, sessionId) =>
  call(
    "checkout.sessions.retrieve",
    (options) => sdk.checkout.sessions.retrieve(sessionId, {}, options),
    readCheckout,
  );

export const expireCheckout: StripeCall<"expireCheckout"> = (client, sessionId) =>
  client.write({
    name: "checkout.sessions.expire",
    key: `expire:${sessionId}`,
    run: (options) => client.sdk.checkout.sessions.expire(sessionId, {}, options),
    read: readCheckout,
    find: async () => {
      const current = await getCheckout(client, sessionId);
      return current.status === "open" ? null : current;
    },
  });

/** Returns the one checkout session of a payment intent or a subscription, or null. */
export function findCheckout(
  { sdk, call }: StripeClient,
  by: { payment_intent: string } | { subscription: string },
): Promise<StripeCheckout | null> {
  return call(
    "checkout.sessions.list",
    (options) => sdk.checkout.sessions.list({ ...by, limit: 1 }, options),
    (answer) => readList(answer, readCheckout).items[0] ?? null,
  );
}
