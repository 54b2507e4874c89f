// The billing portal: our own configuration, and sessions that use it.
import { listAll, type StripeCall, type StripeClient } from "./client.ts";
import { readId, readPortal, readPortalConfiguration } from "./parse.ts";

/** Distinguishes our configuration from the account's others. */
const MADE_BY = { skywork: "billing" };
/** Plans and quantities change in this app, where credits follow immediately; the portal does the rest. */
const FEATURES = {
  customer_update: { enabled: false },
  invoice_history: { enabled: true },
  payment_method_update: { enabled: true },
  subscription_cancel: { enabled: true, mode: "at_period_end" as const },
  subscription_update: { enabled: false },
};
const MAX_CONFIGURATIONS = 100;

export const createPortalSession: StripeCall<"createPortalSession"> = (
  { sdk, call },
  customerId,
  returnUrl,
  configurationId,
) =>
  call(
    "billingPortal.sessions.create",
    (options) =>
      sdk.billingPortal.sessions.create(
        { customer: customerId, return_url: returnUrl, configuration: configurationId },
        options,
      ),
    readPortal,
  );

export const ensurePortalConfiguration: StripeCall<"ensurePortalConfiguration"> = async (
  client,
) => {
  const { configurations } = client.sdk.billingPortal;
  const known = await findOurConfiguration(client);
  if (known === null) {
    const { id } = await client.write({
      name: "billingPortal.configurations.create",
      key: "portal-configuration",
      run: (options) => configurations.create({ features: FEATURES, metadata: MADE_BY }, options),
      read: readPortalConfiguration,
      find: () => findOurConfiguration(client),
      findOnReuse: true,
    });
    return { id, done: "created" };
  }
  if (includes(known.features, FEATURES)) return { id: known.id, done: "unchanged" };
  const { id } = await client.call(
    "billingPortal.configurations.update",
    (options) => configurations.update(known.id, { features: FEATURES }, options),
    (answer) => readId(answer, "billing_portal.configuration"),
  );
  return { id, done: "updated" };
};

/** Whether `actual` contains everything in `wanted`; Stripe fills in more than it is given. */
function includes(actual: unknown, wanted: unknown): boolean {
  if (typeof wanted !== "object" || wanted === null) return actual === wanted;
  if (typeof actual !== "object" || actual === null) return false;
  const found = new Map(Object.entries(actual));
  return Object.entries(wanted).every(([name, value]) => includes(found.get(name), value));
}

async function findOurConfiguration(client: StripeClient) {
  const all = await listAll(client, {
    name: "billingPortal.configurations.list",
    run: (page, options) =>
      client.sdk.billingPortal.configurations.list({ active: true, ...page }, options),
    read: readPortalConfiguration,
    max: MAX_CONFIGURATIONS,
  });
  return all.find(({ madeBy }) => madeBy === MADE_BY.skywork) ?? null;
}
