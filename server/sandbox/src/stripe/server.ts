// The Stripe stand-in as a running server: wires up the API, the hosted pages, event delivery and the controls.
import type { IncomingMessage, ServerResponse } from "node:http";
import {
  closeServer,
  header,
  hostAllowed,
  isCrossSite,
  listen,
  readBody,
  targetOf,
} from "../http.ts";
import { accountRoutes } from "./events/account.ts";
import { type ApiRequest, createApi, type FailingWork, type StoredAnswer } from "./api/api.ts";
import { balanceRoutes } from "./customers/balance.ts";
import { catalogRoutes } from "./catalog/catalog.ts";
import { checkoutRoutes } from "./checkout/checkout.ts";
import { handleCheckoutPage } from "./checkout/page.ts";
import { createControl, type StripeControl } from "./control/control.ts";
import { handleControl } from "./control/http.ts";
import { showControlPage } from "./control/page.ts";
import { addSampleCodes } from "./catalog/sample-codes.ts";
import { couponRoutes } from "./catalog/coupons.ts";
import { creditNoteRoutes } from "./invoices/credit-notes.ts";
import { customerRoutes } from "./customers/customers.ts";
import { createDeliverer, type Deliverer } from "./events/delivery.ts";
import { createEventLog, type EventLog, type LoggedEvent } from "./events/events.ts";
import { disputeRoutes } from "./payments/disputes.ts";
import { invoiceItemRoutes } from "./invoices/invoice-items.ts";
import { invoiceRoutes } from "./invoices/invoices.ts";
import { createMisbehaviour, type Misbehaviour } from "./api/misbehaviour.ts";
import type { Route } from "./api/route.ts";
import { createPersistence } from "./state/persist.ts";
import { portalConfigurationRoutes, savePortalSettings } from "./portal/configurations.ts";
import { handlePaperPage, handlePortalPage, portalRoutes } from "./portal/portal.ts";
import { paymentRoutes } from "./payments/payments.ts";
import { refundRoutes } from "./payments/refunds.ts";
import { scheduleRoutes } from "./billing/schedules.ts";
import { subscriptionRoutes } from "./billing/subscriptions.ts";
import { createWorld, emptyState, type Hidden, type Tables, type World } from "./state/world.ts";

/** The API version the project's SDK is pinned to (`stripe/esm/apiVersion.js`). */
export const STRIPE_API_VERSION = "2026-10-28.endive";

export interface StripeSandboxOptions {
  /** 0 (default) = any free port. */
  port?: number;
  host?: string;
  /** Folder where the state is saved, so that it survives a restart; unset = memory only. */
  dataDir?: string;
  secretKey: string;
  webhookSecret: string;
  /** Where events are sent; unset = they are only recorded. */
  webhookUrl?: string;
  /** The URL at which browsers reach the sandbox. Defaults to its own address. */
  publicUrl?: string;
  /** The wall clock. */
  clock?: () => Date;
  /** The delay before each redelivery of an event; the list's length limits the number of retries. */
  retryDelaysMs?: number[];
  /** Hosts other than loopback that events may be sent to, and that the `Host` header may name. */
  allowHosts?: string[];
  /** Decides which events `dropShare` drops, for seeded tests. Defaults to Math.random. */
  random?: () => number;
  /** Beyond this many, the oldest events are evicted. Defaults to 20,000. */
  maxEvents?: number;
  /** How many deliveries are in flight at a time. Defaults to 4; 1 = strictly in order. */
  deliveryConcurrency?: number;
}

export interface StripeSandbox {
  url: string;
  port: number;
  secretKey: string;
  webhookSecret: string;
  control: StripeControl;
  close(): Promise<void>;
}

const RETRY_DELAYS_MS = [500, 2_000, 5_000, 15_000, 60_000, 300_000, 900_000, 3_600_000];

interface Saved {
  tables: Tables;
  hidden: Hidden;
  events: Map<string, LoggedEvent>;
  keys: Map<string, StoredAnswer>;
}

const TICK_MS = 1_000;

/** The parts of a running stand-in. */
interface StripeState {
  url: string;
  allowHosts: string[];
  world: World;
  log: EventLog;
  deliverer: Deliverer;
  misbehaviour: Misbehaviour;
  control: StripeControl;
  api: ReturnType<typeof createApi>;
  /** Schedules writing the state to its file. */
  touch(): void;
}

/** The saved state, or an empty one. Tables that were added since the save start empty. */
function restore(saved: Saved | undefined) {
  const empty = emptyState();
  return {
    tables: { ...empty.tables, ...saved?.tables },
    hidden: { ...empty.hidden, ...saved?.hidden },
    keys: saved?.keys ?? new Map<string, StoredAnswer>(),
  };
}

type Restored = ReturnType<typeof restore>;

function openLog(options: StripeSandboxOptions, saved: Saved | undefined, world: () => World) {
  const log = createEventLog({
    apiVersion: STRIPE_API_VERSION,
    maxEvents: options.maxEvents ?? 20_000,
    newId: () => world().newId("evt"),
    endpoints: () => world().tables.webhookEndpoints.values(),
  });
  for (const event of saved?.events.values() ?? []) {
    for (const delivery of event.deliveries) delivery.nextAttemptAt = null;
    log.events.set(event.id, event);
  }
  return log;
}

function openDeliverer(
  options: StripeSandboxOptions,
  given: Pick<StripeState, "allowHosts" | "log" | "world" | "touch">,
): Deliverer {
  const { allowHosts, log, world, touch } = given;
  return createDeliverer({
    log,
    endpoint: (id) => world.tables.webhookEndpoints.get(id),
    wallNow: world.wallNow,
    retryDelaysMs: options.retryDelaysMs ?? RETRY_DELAYS_MS,
    concurrency: options.deliveryConcurrency ?? 4,
    allowHosts,
    random: options.random ?? Math.random,
    onChange: touch,
  });
}

/** Every endpoint of the API. */
export function allRoutes(log: EventLog): Route[] {
  return [
    ...customerRoutes,
    ...balanceRoutes,
    ...catalogRoutes,
    ...couponRoutes,
    ...checkoutRoutes,
    ...paymentRoutes,
    ...subscriptionRoutes,
    ...scheduleRoutes,
    ...invoiceRoutes,
    ...invoiceItemRoutes,
    ...creditNoteRoutes,
    ...refundRoutes,
    ...disputeRoutes,
    ...portalRoutes,
    ...portalConfigurationRoutes,
    ...accountRoutes(log, STRIPE_API_VERSION),
  ];
}

/** Wires up the parts around the restored state. */
function assemble(
  options: StripeSandboxOptions,
  place: Pick<StripeState, "url" | "allowHosts" | "touch">,
  saved: Saved | undefined,
  { tables, hidden, keys }: Restored,
): StripeState {
  const log = openLog(options, saved, () => world);
  const world: World = createWorld({
    clock: options.clock ?? (() => new Date()),
    publicUrl: place.url,
    state: { tables, hidden },
    record: (given) => {
      deliverer.dispatch(log.record(given));
      place.touch();
    },
  });
  const deliverer = openDeliverer(options, { ...place, log, world });
  const misbehaviour = createMisbehaviour();
  const control = createControl({
    world,
    log,
    deliverer,
    misbehaviour,
    webhookSecret: options.webhookSecret,
    apiVersion: STRIPE_API_VERSION,
  });
  const api = createApi({
    world,
    routes: allRoutes(log),
    secretKey: options.secretKey,
    apiVersion: STRIPE_API_VERSION,
    stored: keys,
  });
  control.setWebhookUrl(options.webhookUrl ?? null);
  if (tables.coupons.size === 0) addSampleCodes(world);
  // A new state, or one saved before configurations existed, gets the default configuration.
  if (saved?.tables.portalConfigurations === undefined) savePortalSettings(world, true);
  deliverer.start();
  return { ...place, world, log, deliverer, misbehaviour, control, api };
}

/** Handles a request to the API, normally or as a misbehaviour rule says. */
async function handleApi(
  { api, misbehaviour, touch }: StripeState,
  req: IncomingMessage,
  res: ServerResponse,
  { target, body }: { target: URL; body: string },
): Promise<void> {
  const method = req.method ?? "GET";
  const idempotencyKey = header(req, "idempotency-key");
  const request: ApiRequest = {
    method,
    path: target.pathname,
    query: target.search.slice(1),
    body,
    contentType: header(req, "content-type") ?? "",
    authorization: header(req, "authorization") ?? "",
    idempotencyKey,
    stripeVersion: header(req, "stripe-version"),
  };
  const work = (failing?: FailingWork) => api.answer(request, failing);
  const rule = misbehaviour.take(method, target.pathname);
  if (rule === undefined) {
    const answer = work();
    res.writeHead(answer.status, answer.headers).end(answer.body);
  } else {
    await misbehaviour.answer(rule, res, work, (busy) => {
      if (idempotencyKey === null) return;
      if (busy) api.busyKeys.add(idempotencyKey);
      else api.busyKeys.delete(idempotencyKey);
    });
  }
  if (method !== "GET") touch();
}

async function handle(state: StripeState, req: IncomingMessage, res: ServerResponse) {
  const { world, log, control, url, allowHosts, touch } = state;
  const target = targetOf(req);
  const path = target.pathname;
  const method = req.method ?? "GET";
  const body = await readBody(req);
  if (body === undefined) {
    res.writeHead(413).end();
    return;
  }
  if (path.startsWith("/v1/")) {
    await handleApi(state, req, res, { target, body });
    return;
  }
  if (
    !hostAllowed(req, [...allowHosts, new URL(url).hostname]) ||
    (method === "POST" && isCrossSite(req))
  ) {
    res.writeHead(403, { "Content-Type": "text/plain" }).end("Not from here.\n");
    return;
  }
  if (method !== "GET") touch();
  if (path.startsWith("/c/pay/")) handleCheckoutPage(world, res, { method, path, body });
  else if (path.startsWith("/p/session/")) handlePortalPage(world, res, { method, path, body });
  else if (/^\/(invoices|receipts)\//.test(path)) handlePaperPage(world, res, path);
  else if (/^\/_sandbox(\/|$)/.test(path)) {
    const contentType = header(req, "content-type") ?? "";
    await handleControl(control, res, { method, path, body, contentType });
  } else if (path === "/") showControlPage(res, world, log, control);
  else res.writeHead(404, { "Content-Type": "text/plain" }).end("Nothing here.\n");
}

/** Runs what is due, once a second. */
function startTicking(control: StripeControl): NodeJS.Timeout {
  const ticking = setInterval(() => {
    try {
      control.tick();
    } catch (error) {
      console.error("Stripe sandbox: the billing clock failed:", error);
    }
  }, TICK_MS);
  return ticking.unref();
}

/** Starts the stand-in for api.stripe.com and its hosted pages. Rejects with a clear message when the port is taken. */
export async function startStripeSandbox(options: StripeSandboxOptions): Promise<StripeSandbox> {
  const host = options.host ?? "127.0.0.1";
  const allowHosts = (options.allowHosts ?? []).map((name) => name.toLowerCase());
  const persistence = createPersistence(
    options.dataDir,
    "stripe-sandbox.json",
    (): Saved => ({
      tables: restored.tables,
      hidden: restored.hidden,
      events: state.log.events,
      keys: restored.keys,
    }),
  );
  let handler: (req: IncomingMessage, res: ServerResponse) => Promise<void> = async () => undefined;
  const { server, port } = await listen("Stripe sandbox", options.port ?? 0, host, (req, res) =>
    handler(req, res),
  );
  const url = options.publicUrl ?? `http://${host === "0.0.0.0" ? "localhost" : host}:${port}`;
  const saved = persistence.load() as Saved | undefined;
  const restored = restore(saved);
  const place = { url, allowHosts, touch: persistence.touch };
  const state = assemble(options, place, saved, restored);
  handler = (req, res) => handle(state, req, res);
  const ticking = startTicking(state.control);
  return {
    url,
    port,
    secretKey: options.secretKey,
    webhookSecret: options.webhookSecret,
    control: state.control,
    close: async () => {
      clearInterval(ticking);
      await state.deliverer.close();
      await closeServer(server);
      await persistence.close();
    },
  };
}
