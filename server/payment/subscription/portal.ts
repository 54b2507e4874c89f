// Opens Stripe's billing portal with our own configuration, so that plans change only where credits follow.
import type { Customers } from "../checkout/customers.ts";
import { refusalOf } from "../stripe/errors.ts";
import type { StripePort } from "../stripe/port.ts";

interface PortalState {
  readonly stripe: StripePort;
  readonly customers: Customers;
  readonly frontendUrl: string;
  /** Created once per account, so it is cached until Stripe no longer knows it. */
  configurationId: string | null;
}

/** Returns the portal, which caches its configuration. */
export function createPortal(deps: Omit<PortalState, "configurationId">) {
  const { stripe, customers, frontendUrl } = deps;
  const state: PortalState = { stripe, customers, frontendUrl, configurationId: null };
  return {
    /** Returns a portal session. Throws PAYMENT_PROVIDER_ERROR, NOT_FOUND (deleted user). */
    open: (userId: string) => openPortal(state, userId),
    /** For stripe:sync: creates the configuration, or updates one that differs. Returns a line about it. */
    sync: async () => {
      const { id, done } = await stripe.ensurePortalConfiguration();
      state.configurationId = id;
      return `portal configuration: ${done} (${id})`;
    },
  };
}

async function openPortal(state: PortalState, userId: string): Promise<{ url: string }> {
  try {
    return await createSession(state, userId);
  } catch (error) {
    const refusal = refusalOf(error);
    const isStale = refusal?.refusal === "missing" && refusal.param === "configuration";
    if (!isStale || state.configurationId === null) throw error;
    state.configurationId = null;
    return createSession(state, userId);
  }
}

async function createSession(state: PortalState, userId: string): Promise<{ url: string }> {
  const { stripe, customers, frontendUrl } = state;
  const configurationId = state.configurationId ?? (await stripe.ensurePortalConfiguration()).id;
  state.configurationId = configurationId;
  return customers.using(userId, (customerId) =>
    stripe.createPortalSession(customerId, frontendUrl, configurationId),
  );
}
