// The portal configurations API (create, read, list, update), and the default one that is saved in the dashboard.
import type { Call, Route } from "../api/route.ts";
import { page } from "../api/lists.ts";
import { NO_FEATURES, newPortalConfiguration, SAVED_FEATURES } from "../objects/new-portal.ts";
import type { Json, PortalConfiguration, PortalFeatures } from "../objects/types.ts";
import { apiError, badParam, type Fields, mergeMetadata } from "../api/wire.ts";
import { change, need, type World } from "../state/world.ts";

const PRORATIONS = ["always_invoice", "create_prorations", "none"] as const;
const UPDATES = ["price", "promotion_code", "quantity"];

/** The configuration for sessions that name none. Throws 400 with Stripe's message when none was saved. */
export function defaultConfiguration(world: World): PortalConfiguration {
  for (const it of world.tables.portalConfigurations.values()) if (it.is_default) return it;
  throw apiError({
    status: 400,
    type: "invalid_request_error",
    message:
      "No configuration provided and your test mode default configuration has not been created. Provide a configuration or create your default by saving your customer portal settings in test mode at https://dashboard.stripe.com/test/settings/billing/portal.",
  });
}

/** Saves the dashboard's portal settings, or makes it look as if they had never been saved. */
export function savePortalSettings(world: World, saved: boolean): void {
  for (const it of world.tables.portalConfigurations.values()) {
    if (it.is_default) world.tables.portalConfigurations.delete(it.id);
  }
  if (!saved) return;
  const made = newPortalConfiguration(world.newId("bpc"), world.wallNow(), {
    features: SAVED_FEATURES,
    isDefault: true,
  });
  world.tables.portalConfigurations.set(made.id, made);
}

function needEnabled(fields: Fields): boolean {
  const enabled = fields.bool("enabled");
  if (enabled === undefined) {
    throw badParam(
      `Missing required param: ${fields.param("enabled")}.`,
      fields.param("enabled"),
      "parameter_missing",
    );
  }
  return enabled;
}

function readCancel(
  given: Fields | undefined,
  now: PortalFeatures["subscription_cancel"],
): PortalFeatures["subscription_cancel"] {
  if (given === undefined) return now;
  const reason = given.map("cancellation_reason");
  return {
    cancellation_reason:
      reason === undefined
        ? now.cancellation_reason
        : {
            enabled: needEnabled(reason),
            feedback_options: null,
            options: reason.texts("options"),
          },
    enabled: needEnabled(given),
    mode: given.oneOf("mode", ["at_period_end", "immediately"]) ?? now.mode,
    proration_behavior: given.oneOf("proration_behavior", PRORATIONS) ?? now.proration_behavior,
  };
}

function readProducts(
  world: World,
  given: Fields,
  now: PortalFeatures["subscription_update"]["products"],
): PortalFeatures["subscription_update"]["products"] {
  if (!given.has("products")) return now;
  return given.maps("products").map((it) => {
    const adjustable = it.map("adjustable_quantity");
    const product = need(
      world.tables.products,
      "product",
      it.needText("product"),
      it.param("product"),
    );
    const prices = it.texts("prices");
    for (const price of prices) need(world.tables.prices, "price", price, it.param("prices"));
    return {
      adjustable_quantity: {
        enabled: adjustable === undefined ? false : needEnabled(adjustable),
        maximum: adjustable?.int("maximum") ?? null,
        minimum: adjustable?.int("minimum") ?? 1,
      },
      prices,
      product: product.id,
    };
  });
}

function readUpdate(
  world: World,
  given: Fields | undefined,
  now: PortalFeatures["subscription_update"],
): PortalFeatures["subscription_update"] {
  if (given === undefined) return now;
  const allowed = given.has("default_allowed_updates")
    ? given.texts("default_allowed_updates")
    : now.default_allowed_updates;
  const unknown = allowed.find((it) => !UPDATES.includes(it));
  if (unknown !== undefined) {
    const param = given.param("default_allowed_updates");
    throw badParam(
      `Invalid ${param}: must be one of ${UPDATES.join(", ")}`,
      param,
      "parameter_invalid",
    );
  }
  const schedule = given.map("schedule_at_period_end");
  const conditions = schedule?.maps("conditions").map((it) => ({ type: it.needText("type") }));
  const anchor = given.oneOf("billing_cycle_anchor", ["now", "unchanged"] as const);
  return {
    billing_cycle_anchor: anchor ?? now.billing_cycle_anchor,
    default_allowed_updates: allowed,
    enabled: needEnabled(given),
    products: readProducts(world, given, now.products),
    proration_behavior: given.oneOf("proration_behavior", PRORATIONS) ?? now.proration_behavior,
    schedule_at_period_end: conditions === undefined ? now.schedule_at_period_end : { conditions },
    trial_update_behavior:
      given.oneOf("trial_update_behavior", ["continue_trial", "end_trial"]) ??
      now.trial_update_behavior,
  };
}

function readFeatures(world: World, given: Fields, now: PortalFeatures): PortalFeatures {
  const customer = given.map("customer_update");
  const history = given.map("invoice_history");
  const method = given.map("payment_method_update");
  method?.ignore("payment_method_configuration");
  given.ignore("subscription_pause");
  return {
    ...now,
    customer_update:
      customer === undefined
        ? now.customer_update
        : { allowed_updates: customer.texts("allowed_updates"), enabled: needEnabled(customer) },
    invoice_history:
      history === undefined ? now.invoice_history : { enabled: needEnabled(history) },
    payment_method_update:
      method === undefined
        ? now.payment_method_update
        : { enabled: needEnabled(method), payment_method_configuration: null },
    subscription_cancel: readCancel(given.map("subscription_cancel"), now.subscription_cancel),
    subscription_update: readUpdate(
      world,
      given.map("subscription_update"),
      now.subscription_update,
    ),
  };
}

function readProfile(
  fields: Fields,
  now?: PortalConfiguration["business_profile"],
): PortalConfiguration["business_profile"] {
  const given = fields.map("business_profile");
  const read = (name: "headline" | "privacy_policy_url" | "terms_of_service_url") =>
    (given?.text(name) ?? now?.[name] ?? "") || null;
  return {
    headline: read("headline"),
    privacy_policy_url: read("privacy_policy_url"),
    terms_of_service_url: read("terms_of_service_url"),
  };
}

function create({ world, fields }: Call): Json {
  const features = fields.map("features");
  if (features === undefined)
    throw badParam("Missing required param: features.", "features", "parameter_missing");
  const made = newPortalConfiguration(world.newId("bpc"), world.wallNow(), {
    features: readFeatures(world, features, NO_FEATURES),
    businessProfile: readProfile(fields),
    returnUrl: fields.text("default_return_url") || null,
    metadata: mergeMetadata({}, fields.metadata()),
    name: fields.text("name") || null,
  });
  fields.ignore("login_page");
  fields.done();
  world.tables.portalConfigurations.set(made.id, made);
  world.emit("billing_portal.configuration.created", made);
  return made;
}

function update({ world, ids, fields }: Call): Json {
  const configuration = need(world.tables.portalConfigurations, "configuration", ids[0] ?? "");
  const features = fields.map("features");
  const next = {
    active: fields.bool("active") ?? configuration.active,
    business_profile: readProfile(fields, configuration.business_profile),
    default_return_url: fields.has("default_return_url")
      ? fields.text("default_return_url") || null
      : configuration.default_return_url,
    features:
      features === undefined
        ? configuration.features
        : readFeatures(world, features, configuration.features),
    metadata: mergeMetadata(configuration.metadata, fields.metadata()),
    name: fields.has("name") ? fields.text("name") || null : configuration.name,
  };
  fields.ignore("login_page");
  fields.done();
  if (configuration.is_default && !next.active)
    throw badParam("You cannot deactivate the default configuration.", "active");
  change(world, configuration, "billing_portal.configuration.updated", (it) => {
    Object.assign(it, next);
    it.updated = world.wallNow();
  });
  return configuration;
}

/** Routes of this file. */
export const portalConfigurationRoutes: Route[] = [
  { method: "POST", path: "/v1/billing_portal/configurations", handle: create },
  {
    method: "GET",
    path: "/v1/billing_portal/configurations",
    handle: ({ world, fields }) => {
      const active = fields.bool("active");
      const isDefault = fields.bool("is_default");
      const out = page(
        fields,
        "/v1/billing_portal/configurations",
        world.tables.portalConfigurations.values(),
        (it) =>
          (active === undefined || it.active === active) &&
          (isDefault === undefined || it.is_default === isDefault),
      );
      fields.done();
      return { ...out };
    },
  },
  {
    method: "GET",
    path: "/v1/billing_portal/configurations/:id",
    handle: ({ world, ids }) =>
      need(world.tables.portalConfigurations, "configuration", ids[0] ?? ""),
  },
  { method: "POST", path: "/v1/billing_portal/configurations/:id", handle: update },
];
