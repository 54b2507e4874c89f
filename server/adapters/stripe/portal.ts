// Owns the adapter's part about the billing portal: our own configuration, and sessions that use it.
import type Stripe from "stripe";
import type { StripePort } from "../../payment/stripe/port.ts";
import type { Asking } from "./caller.ts";
import { readId, readPortal, readPortalConfiguration } from "./parse.ts";

type Portal = Pick<StripePort, "createPortalSession" | "ensurePortalConfiguration">;

/** Tells ours from others of the account. */
const MADE_BY = { skywork: "billing" };
/** Plans and quantities change here, where credits follow them at once; the portal does the rest. */
const FEATURES = {
  customer_update: { enabled: false },
  invoice_history: { enabled: true },
  payment_method_update: { enabled: true },
  subscription_cancel: { enabled: true, mode: "at_period_end" as const },
  subscription_update: { enabled: false },
};
const MAX_CONFIGURATIONS = 100;

/** The portal over the SDK. */
export function createPortal(stripe: Stripe, { call, write, listAll }: Asking): Portal {
  const findOurs = async () => {
    const all = await listAll(
      "billingPortal.configurations.list",
      (page, options) =>
        stripe.billingPortal.configurations.list({ active: true, ...page }, options),
      readPortalConfiguration,
      MAX_CONFIGURATIONS,
    );
    return all.find(({ madeBy }) => madeBy === MADE_BY.skywork) ?? null;
  };
  return {
    createPortalSession: (customerId, returnUrl, configurationId) =>
      call(
        "billingPortal.sessions.create",
        (options) =>
          stripe.billingPortal.sessions.create(
            { customer: customerId, return_url: returnUrl, configuration: configurationId },
            options,
          ),
        readPortal,
      ),
    ensurePortalConfiguration: async () => {
      const known = await findOurs();
      if (known === null) {
        const { id } = await write({
          name: "billingPortal.configurations.create",
          key: "portal-configuration",
          run: (options) =>
            stripe.billingPortal.configurations.create(
              { features: FEATURES, metadata: MADE_BY },
              options,
            ),
          read: readPortalConfiguration,
          find: findOurs,
          findOnReuse: true,
        });
        return { id, done: "created" };
      }
      const { id } = await call(
        "billingPortal.configurations.update",
        (options) =>
          stripe.billingPortal.configurations.update(known.id, { features: FEATURES }, options),
        (answer) => readId(answer, "billing_portal.configuration"),
      );
      return { id, done: "updated" };
    },
  };
}
