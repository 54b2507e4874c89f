// Stripe in the simulation: the sandbox's own state machine without its HTTP server, and the line to it under the
// real adapter and SDK, which may refuse, break, or cut off an answer after the work is done.
import {
  createStripeAdapter,
  STRIPE_API_VERSION,
  type StripeHttpClient,
} from "../../server/adapters/stripe/stripe.ts";
import { CALL_LIMITS } from "../../server/adapters/stripe/calls.ts";
import { type ApiAnswer, createApi } from "../../server/sandbox/src/stripe/api/api.ts";
import { createControl } from "../../server/sandbox/src/stripe/control/control.ts";
import {
  createDeliverer,
  signatureHeader,
} from "../../server/sandbox/src/stripe/events/delivery.ts";
import { createEventLog, type LoggedEvent } from "../../server/sandbox/src/stripe/events/events.ts";
import { createMisbehaviour } from "../../server/sandbox/src/stripe/api/misbehaviour.ts";
import { actInPortal } from "../../server/sandbox/src/stripe/portal/actions.ts";
import { SAVED_FEATURES } from "../../server/sandbox/src/stripe/objects/new-portal.ts";
import type { PortalFeatures } from "../../server/sandbox/src/stripe/objects/types.ts";
import { allRoutes } from "../../server/sandbox/src/stripe/server.ts";
import { createWorld, emptyState, need } from "../../server/sandbox/src/stripe/state/world.ts";
import type { RequestFault } from "./faults.ts";
import type { Life, Stage } from "./process.ts";
import { silence } from "./scheduler.ts";

const SECRET_KEY = "sk_test_simulation";
const WEBHOOK_SECRET = "whsec_simulation";
const API_BASE = "http://stripe.simulation";

/** Stripe. */
export type SimulatedStripe = ReturnType<typeof createStripe>;

/** An empty Stripe account. `announce` hears of every event. */
export function createStripe(stage: Stage, announce: (event: LoggedEvent) => void) {
  const { scheduler } = stage;
  const state = emptyState();
  const world = createWorld({
    clock: () => new Date(scheduler.nowMs),
    publicUrl: API_BASE,
    state,
    record: (given) => announce(log.record(given)),
  });
  const log = createEventLog({
    apiVersion: STRIPE_API_VERSION,
    maxEvents: 100_000,
    newId: () => world.newId("evt"),
    endpoints: () => [],
  });
  // Without endpoints it has nothing to send: telling of events is the simulation's own business.
  const deliverer = createDeliverer({
    log,
    endpoint: () => undefined,
    wallNow: world.wallNow,
    retryDelaysMs: [],
    concurrency: 1,
    allowHosts: [],
    random: () => 1,
    onChange: () => undefined,
  });
  const control = createControl({
    world,
    log,
    deliverer,
    misbehaviour: createMisbehaviour(),
    webhookSecret: WEBHOOK_SECRET,
    apiVersion: STRIPE_API_VERSION,
  });
  const api = createApi({
    world,
    routes: allRoutes(log),
    secretKey: SECRET_KEY,
    apiVersion: STRIPE_API_VERSION,
    stored: new Map(),
  });

  const lineOf = (life: Life): StripeHttpClient => ({
    getClientName: () => "simulation",
    makeRequest: async (_host, _port, path, method, headers, body) => {
      const named = headerReader(headers);
      const [pathname = "", query = ""] = path.split("?", 2);
      const what = `stripe ${method} ${pathname}`;
      const work = () => {
        // What fell due meanwhile happens before anybody looks.
        control.tick();
        return api.answer({
          method,
          path: pathname,
          query,
          body: body ?? "",
          contentType: named("content-type") ?? "",
          authorization: named("authorization") ?? "",
          idempotencyKey: named("idempotency-key"),
          stripeVersion: named("stripe-version"),
        });
      };
      await life.cross("request", what);
      const fault = stage.faults.request();
      const answer = fault === null ? work() : await faulty(fault, work);
      const outcome = `${fault === null ? "" : `${fault} `}${answer?.status ?? "cut off"}`;
      await life.cross("answer", `${what}: ${outcome}`);
      if (answer === null) throw Object.assign(new Error("socket hang up"), { code: "ECONNRESET" });
      return responseOf(answer);
    },
  });

  return {
    /** The truth about money: what the end is compared with. */
    tables: state.tables,
    control,
    /** The billing portal as many a merchant has it: plan switch and quantity, with `update`'s settings for both. */
    inPortal: (
      customerId: string,
      update: Partial<PortalFeatures["subscription_update"]>,
      { name, form }: { readonly name: string; readonly form: Readonly<Record<string, string>> },
    ) => {
      const customer = need(state.tables.customers, "customer", customerId);
      const features = {
        ...SAVED_FEATURES,
        subscription_update: { ...SAVED_FEATURES.subscription_update, ...update },
      };
      return actInPortal(world, customer, features, { name, form: new URLSearchParams(form) });
    },
    /** The real adapter of one process. */
    portOf: (life: Life) =>
      createStripeAdapter(
        { secretKey: SECRET_KEY, webhookSecrets: [WEBHOOK_SECRET], apiBase: API_BASE },
        CALL_LIMITS,
        lineOf(life),
      ),
    /** An event as it is posted, signed. `id`: told under another id. */
    sign: (event: LoggedEvent, id?: string) => {
      const whole = log.envelope(event);
      const body = id === undefined ? whole : whole.replace(`"id":"${event.id}"`, `"id":"${id}"`);
      return {
        body: Buffer.from(body),
        signature: signatureHeader(body, WEBHOOK_SECRET, world.wallNow()),
      };
    },
  };
}

/** What comes back in the fault's way; null: the connection is cut. */
async function faulty(
  fault: NonNullable<RequestFault>,
  work: () => ApiAnswer,
): Promise<ApiAnswer | null> {
  switch (fault) {
    case "429":
      return refusal(429, "rate_limit", { "retry-after": "1" });
    case "409":
      return refusal(409, "idempotency_key_in_use");
    case "500":
      return refusal(500, "api_error");
    case "500-after":
      work();
      return refusal(500, "api_error");
    case "502-empty":
      return { status: 502, headers: {}, body: "{}" };
    case "html":
      return { status: 503, headers: { "content-type": "text/html" }, body: "<html>" };
    case "half": {
      const answer = work();
      return { ...answer, body: answer.body.slice(0, answer.body.length / 2) };
    }
    case "cut-before":
      return null;
    case "cut-after":
      work();
      return null;
    case "hang":
      return silence();
    case "hang-after":
      work();
      return silence();
  }
}

function refusal(status: number, code: string, headers: ApiAnswer["headers"] = {}): ApiAnswer {
  const body = JSON.stringify({ error: { type: "api_error", code, message: "simulated" } });
  return { status, headers, body };
}

function headerReader(headers: object): (name: string) => string | null {
  const byName = new Map(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]),
  );
  return (name) => byName.get(name) ?? null;
}

function responseOf({ status, headers, body }: ApiAnswer) {
  const lowered = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  return {
    getStatusCode: () => status,
    getHeaders: () => lowered,
    getRawResponse: () => ({}),
    toStream: () => null,
    toJSON: async () => {
      const parsed: unknown = JSON.parse(body);
      return parsed;
    },
  };
}
