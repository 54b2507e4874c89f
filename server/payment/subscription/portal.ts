// Owns the way to Stripe's billing portal: under our own configuration, so that plans change only where credits follow.
import { refusalOf } from "../stripe/errors.ts";
import type { Customers } from "../checkout/customers.ts";
import type { PaymentDeps } from "../sync/sync-transaction.ts";

/** Makes the portal part. */
export function createPortal(
  { stripe, frontendUrl }: Pick<PaymentDeps, "stripe"> & { readonly frontendUrl: string },
  customers: Customers,
) {
  // Made once per account, so it may be remembered until Stripe says otherwise.
  let configurationId: string | null = null;

  async function open(userId: string): Promise<{ url: string }> {
    const { id } =
      configurationId === null ? await stripe.ensurePortalConfiguration() : { id: configurationId };
    configurationId = id;
    return customers.using(userId, (customerId) =>
      stripe.createPortalSession(customerId, frontendUrl, id),
    );
  }

  return {
    /** A portal session. Throws PAYMENT_PROVIDER_ERROR, NOT_FOUND (deleted user). */
    open: async (userId: string): Promise<{ url: string }> =>
      open(userId).catch((error: unknown) => {
        const refusal = refusalOf(error);
        const isStale = refusal?.refusal === "missing" && refusal.param === "configuration";
        if (!isStale || configurationId === null) throw error;
        configurationId = null;
        return open(userId);
      }),
    /** stripe:sync: makes or updates the configuration. Answers a line about it. */
    sync: async (): Promise<string> => {
      const { id, done } = await stripe.ensurePortalConfiguration();
      configurationId = id;
      return `portal configuration: ${done} (${id})`;
    },
  };
}
