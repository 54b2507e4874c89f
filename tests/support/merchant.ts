// What a merchant does at Stripe behind this server's back: calls to the sandbox's API with the merchant's key.
import Stripe from "stripe";
import { SECRET_KEY, type Shop } from "./shop.ts";

type Answer = { id: string } & Record<string, unknown>;

/** Stripe's API as used by a merchant's own tools or the dashboard. Rejects with Stripe's message if it refuses. */
export function merchantOf(world: Shop) {
  async function call(method: "GET" | "POST", path: string, fields: Record<string, string>) {
    const { hostname, port } = new URL(world.sandbox.stripe.url);
    const options = { protocol: "http", telemetry: false, maxNetworkRetries: 0 } as const;
    const stripe = new Stripe(SECRET_KEY, { ...options, host: hostname, port });
    const [query, body] =
      method === "GET" ? [`?${new URLSearchParams(fields).toString()}`] : ["", fields];
    const answer: unknown = await stripe.rawRequest(method, `/v1/${path}${query}`, body);
    return answer as Answer;
  }

  const get = (path: string, fields: Record<string, string> = {}) => call("GET", path, fields);
  const post = (path: string, fields: Record<string, string> = {}) => call("POST", path, fields);

  /** Returns the first item of a subscription. */
  async function itemOf(subscriptionId: string): Promise<string> {
    const { items } = await get(`subscriptions/${subscriptionId}`);
    return (items as { data: { id: string }[] }).data[0]?.id ?? "";
  }

  return {
    get,
    post,
    itemOf,

    /** Changes price or quantity; by default with the proration of a plan switch in the billing portal. */
    async change(
      subscriptionId: string,
      to: { price?: string; quantity?: number },
      proration = "always_invoice",
    ): Promise<void> {
      await post(`subscriptions/${subscriptionId}`, {
        "items[0][id]": await itemOf(subscriptionId),
        ...(to.price === undefined ? {} : { "items[0][price]": to.price }),
        ...(to.quantity === undefined ? {} : { "items[0][quantity]": String(to.quantity) }),
        proration_behavior: proration,
      });
      await world.settled();
    },

    /** Returns the price of one of our plans. */
    async priceOf(planId: string): Promise<string> {
      const { data } = await get("prices", { "lookup_keys[]": `skywork_${planId}` });
      return (data as { id: string }[])[0]?.id ?? "";
    },

    /** Creates a price that is not one of ours. */
    async foreignPrice(amount: number, interval: "month" | "year" = "month"): Promise<string> {
      const product = await post("products", { name: "Something else" });
      const price = await post("prices", {
        product: product.id,
        unit_amount: String(amount),
        currency: "usd",
        "recurring[interval]": interval,
      });
      return price.id;
    },
  };
}
