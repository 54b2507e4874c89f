// The endpoints about the account itself: its profile, balance, events and webhook endpoints.
import type { Call, Route } from "../api/route.ts";
import type { EventLog } from "./events.ts";
import { createdRange, page } from "../api/lists.ts";
import type { Json } from "../objects/types.ts";
import { newWebhookEndpoint } from "../objects/new-catalog.ts";
import { badParam, missing } from "../api/wire.ts";
import { need } from "../state/world.ts";

export const SANDBOX_ACCOUNT_ID = "acct_1SandboxSkywork";

const ACCOUNT = {
  id: SANDBOX_ACCOUNT_ID,
  object: "account",
  business_profile: {
    annual_revenue: null,
    estimated_worker_count: null,
    mcc: null,
    minority_owned_business_designation: null,
    name: "Skywork Sandbox",
    product_description: null,
    specified_commercial_transactions_act_url: null,
    support_address: null,
    support_email: null,
    support_phone: null,
    support_url: null,
    url: null,
  },
  business_type: null,
  capabilities: { card_payments: "active", transfers: "active" },
  charges_enabled: true,
  controller: { type: "account" },
  country: "US",
  created: 1_700_000_000,
  default_currency: "usd",
  details_submitted: true,
  email: "sandbox@example.com",
  metadata: {},
  payouts_enabled: true,
  settings: {
    bacs_debit_payments: { display_name: null, service_user_number: null },
    branding: { icon: null, logo: null, primary_color: null, secondary_color: null },
    card_issuing: { tos_acceptance: { date: null, ip: null } },
    card_payments: {
      decline_on: { avs_failure: false, cvc_failure: false },
      statement_descriptor_prefix: null,
      statement_descriptor_prefix_kana: null,
      statement_descriptor_prefix_kanji: null,
    },
    dashboard: { display_name: "Skywork Sandbox", timezone: "Etc/UTC" },
    invoices: { default_account_tax_ids: null, hosted_payment_method_save: "offer" },
    payments: {
      statement_descriptor: null,
      statement_descriptor_kana: null,
      statement_descriptor_kanji: null,
      statement_descriptor_prefix_kana: null,
      statement_descriptor_prefix_kanji: null,
    },
    payouts: {
      debit_negative_balances: true,
      schedule: { delay_days: 2, interval: "daily" },
      statement_descriptor: null,
    },
    sepa_debit_payments: {},
  },
  type: "standard",
};

function typeMatches(pattern: string, type: string): boolean {
  return pattern.endsWith(".*") || pattern === "*"
    ? type.startsWith(pattern.slice(0, -1))
    : pattern === type;
}

function getBalance({ world }: Call): Json {
  const totals = new Map<string, number>([["usd", 0]]);
  for (const charge of world.tables.charges.values()) {
    if (charge.status !== "succeeded") continue;
    totals.set(
      charge.currency,
      (totals.get(charge.currency) ?? 0) + charge.amount - charge.amount_refunded,
    );
  }
  const amounts = [...totals].map(([currency, amount]) => ({
    amount,
    currency,
    source_types: { card: amount },
  }));
  return {
    object: "balance",
    available: amounts,
    connect_reserved: [],
    livemode: false,
    pending: [],
  };
}

function listEvents({ fields }: Call, log: EventLog): Json {
  const type = fields.text("type");
  const types = fields.texts("types");
  const success = fields.bool("delivery_success");
  const created = createdRange(fields);
  if (type !== undefined && types.length > 0) {
    throw badParam(
      "You may only specify one of these parameters: type, types.",
      "type",
      "parameters_exclusive",
    );
  }
  const wanted = type === undefined ? types : [type];
  const rows = [...log.events.values()]
    .filter(
      (event) =>
        (wanted.length === 0 || wanted.some((pattern) => typeMatches(pattern, event.type))) &&
        (success === undefined || (log.pending(event) === 0) === success) &&
        created(event.created),
    )
    .map((event) => ({ id: event.id, object: "event" }));
  const out = page(fields, "/v1/events", rows, () => true);
  fields.done();
  return {
    ...out,
    data: out.data.map((row) => {
      const event = log.events.get(row.id);
      return event === undefined ? row : log.toObject(event);
    }),
  };
}

function getEvent({ ids }: Call, log: EventLog): Json {
  const event = log.events.get(ids[0] ?? "");
  if (event === undefined) throw missing("event", ids[0] ?? "");
  return log.toObject(event);
}

function createEndpoint({ world, fields }: Call, apiVersion: string): Json {
  const url = fields.needText("url");
  const enabledEvents = fields.texts("enabled_events");
  fields.ignore("description", "metadata", "api_version", "connect");
  fields.done();
  if (!URL.canParse(url)) throw badParam("Invalid URL", "url", "url_invalid");
  if (enabledEvents.length === 0)
    throw badParam(
      "Missing required param: enabled_events.",
      "enabled_events",
      "parameter_missing",
    );
  const endpoint = newWebhookEndpoint(world.newId("we"), world.wallNow(), {
    url,
    secret: world.newId("whsec", 32),
    enabledEvents,
    apiVersion,
  });
  world.tables.webhookEndpoints.set(endpoint.id, endpoint);
  return endpoint;
}

function listEndpoints({ world, fields }: Call): Json {
  const out = page(
    fields,
    "/v1/webhook_endpoints",
    world.tables.webhookEndpoints.values(),
    () => true,
  );
  fields.done();
  return { ...out, data: out.data.map(({ secret: _secret, ...rest }) => rest) };
}

function deleteEndpoint({ world, ids }: Call): Json {
  const endpoint = need(world.tables.webhookEndpoints, "webhook endpoint", ids[0] ?? "");
  world.tables.webhookEndpoints.delete(endpoint.id);
  return { id: endpoint.id, object: "webhook_endpoint", deleted: true };
}

function getAccount({ ids }: Call): Json {
  if (ids[0] !== SANDBOX_ACCOUNT_ID) throw missing("account", ids[0] ?? "");
  return ACCOUNT;
}

/** Routes of this file. They need the event log as well as the world. */
export function accountRoutes(log: EventLog, apiVersion: string): Route[] {
  return [
    { method: "GET", path: "/v1/account", handle: () => ACCOUNT },
    { method: "GET", path: "/v1/accounts/:id", handle: getAccount },
    { method: "GET", path: "/v1/balance", handle: getBalance },
    { method: "GET", path: "/v1/events", handle: (call) => listEvents(call, log) },
    { method: "GET", path: "/v1/events/:id", handle: (call) => getEvent(call, log) },
    {
      method: "POST",
      path: "/v1/webhook_endpoints",
      handle: (call) => createEndpoint(call, apiVersion),
    },
    { method: "GET", path: "/v1/webhook_endpoints", handle: listEndpoints },
    { method: "DELETE", path: "/v1/webhook_endpoints/:id", handle: deleteEndpoint },
  ];
}
