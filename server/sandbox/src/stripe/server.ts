// Owns the Stripe stand-in as a running server: it joins the API, the hosted pages, the event delivery and the controls.
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
import { createApi, type StoredAnswer } from "./api/api.ts";
import { balanceRoutes } from "./customers/balance.ts";
import { catalogRoutes } from "./catalog/catalog.ts";
import { checkoutRoutes } from "./checkout/checkout.ts";
import { handleCheckoutPage } from "./checkout/page.ts";
import { createControl, type StripeControl } from "./control/control.ts";
import { handleControl } from "./control/http.ts";
import { showControlPage } from "./control/page.ts";
import { couponRoutes } from "./catalog/coupons.ts";
import { creditNoteRoutes } from "./invoices/credit-notes.ts";
import { customerRoutes } from "./customers/customers.ts";
import { createDeliverer } from "./events/delivery.ts";
import { createEventLog, type LoggedEvent } from "./events/events.ts";
import { disputeRoutes } from "./payments/disputes.ts";
import { invoiceItemRoutes } from "./invoices/invoice-items.ts";
import { invoiceRoutes } from "./invoices/invoices.ts";
import { createMisbehaviour } from "./api/misbehaviour.ts";
import { createPersistence } from "./state/persist.ts";
import { portalConfigurationRoutes, savePortalSettings } from "./portal/configurations.ts";
import { handlePaperPage, handlePortalPage, portalRoutes } from "./portal/portal.ts";
import { paymentRoutes } from "./payments/payments.ts";
import { refundRoutes } from "./payments/refunds.ts";
import { scheduleRoutes } from "./billing/schedules.ts";
import { subscriptionRoutes } from "./billing/subscriptions.ts";
import { newCoupon, newPromotionCode } from "./objects/new-catalog.ts";
import { createWorld, emptyState, type Hidden, type Tables, type World } from "./state/world.ts";

/** The API version the project's SDK is pinned to (`stripe/esm/apiVersion.js`). */
export const STRIPE_API_VERSION = "2026-10-28.endive";

export interface StripeSandboxOptions {
  /** 0 (default) = any free port. */
  port?: number;
  host?: string;
  /** Folder to keep the state in, so that a restart loses nothing; unset = memory only. */
  dataDir?: string;
  secretKey: string;
  webhookSecret: string;
  /** Where events go; unset = they are only recorded. */
  webhookUrl?: string;
  /** How browsers reach the sandbox, when not by its own address. */
  publicUrl?: string;
  /** The wall clock. */
  clock?: () => Date;
  /** Waits before each redelivery of an event; the list's length bounds the attempts. */
  retryDelaysMs?: number[];
  /** Hosts beside loopback that events may be sent to and that may name this server. */
  allowHosts?: string[];
  /** Decides what `dropShare` drops, for tests with a seed; default Math.random. */
  random?: () => number;
  /** Oldest events are forgotten beyond this many (default 20,000). */
  maxEvents?: number;
  /** Events sent at the same time (default 4; 1 = strictly in order). */
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

function addSampleCodes(world: World): void {
  const codes = [
    { id: "SANDBOXFREE", code: "FREE100", percentOff: 100 },
    { id: "SANDBOXHALF", code: "HALF50", percentOff: 50 },
  ];
  for (const { id, code, percentOff } of codes) {
    world.tables.coupons.set(
      id,
      newCoupon(id, world.wallNow(), {
        percentOff,
        amountOff: null,
        currency: null,
        duration: "once",
        name: `${percentOff}% off`,
        metadata: {},
      }),
    );
    world.tables.promotionCodes.set(
      `promo_${id}`,
      newPromotionCode(`promo_${id}`, world.wallNow(), { code, coupon: id, metadata: {} }),
    );
  }
}

interface Saved {
  tables: Tables;
  hidden: Hidden;
  events: Map<string, LoggedEvent>;
  keys: Map<string, StoredAnswer>;
}

const TICK_MS = 1_000;

/** Starts the stand-in for api.stripe.com and its hosted pages. Rejects with a clear sentence when the port is taken. */
export async function startStripeSandbox(options: StripeSandboxOptions): Promise<StripeSandbox> {
  const host = options.host ?? "127.0.0.1";
  const allowHosts = (options.allowHosts ?? []).map((name) => name.toLowerCase());
  const persistence = createPersistence(
    options.dataDir,
    "stripe-sandbox.json",
    (): Saved => ({ ...state, events: log.events, keys }),
  );
  let handler: (req: IncomingMessage, res: ServerResponse) => Promise<void> = async () => undefined;
  const { server, port } = await listen("Stripe sandbox", options.port ?? 0, host, (req, res) =>
    handler(req, res),
  );
  const url = options.publicUrl ?? `http://${host === "0.0.0.0" ? "localhost" : host}:${port}`;

  const saved = persistence.load() as Saved | undefined;
  const empty = emptyState();
  // Tables that a newer version added start empty.
  const state = {
    tables: { ...empty.tables, ...saved?.tables },
    hidden: { ...empty.hidden, ...saved?.hidden },
  };
  const keys = saved?.keys ?? new Map<string, StoredAnswer>();
  const endpoints = state.tables.webhookEndpoints;
  const log = createEventLog({
    apiVersion: STRIPE_API_VERSION,
    maxEvents: options.maxEvents ?? 20_000,
    newId: () => world.newId("evt"),
    endpoints: () => endpoints.values(),
  });
  for (const event of saved?.events.values() ?? []) {
    for (const delivery of event.deliveries) delivery.nextAttemptAt = null;
    log.events.set(event.id, event);
  }
  const world: World = createWorld({
    clock: options.clock ?? (() => new Date()),
    publicUrl: url,
    state,
    record: (given) => {
      deliverer.dispatch(log.record(given));
      persistence.touch();
    },
  });
  const deliverer = createDeliverer({
    log,
    endpoint: (id) => endpoints.get(id),
    wallNow: world.wallNow,
    retryDelaysMs: options.retryDelaysMs ?? RETRY_DELAYS_MS,
    concurrency: options.deliveryConcurrency ?? 4,
    allowHosts,
    random: options.random ?? Math.random,
    onChange: persistence.touch,
  });
  const misbehaviour = createMisbehaviour();
  const control = createControl({
    world,
    log,
    deliverer,
    misbehaviour,
    webhookSecret: options.webhookSecret,
    apiVersion: STRIPE_API_VERSION,
  });
  control.setWebhookUrl(options.webhookUrl ?? null);
  if (state.tables.coupons.size === 0) addSampleCodes(world);
  // An older state knows no configurations: the default one is made for it.
  if (saved?.tables.portalConfigurations === undefined) savePortalSettings(world, true);
  deliverer.resume();

  const api = createApi({
    world,
    routes: [
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
    ],
    secretKey: options.secretKey,
    apiVersion: STRIPE_API_VERSION,
    stored: keys,
  });

  const handleApi = async (
    req: IncomingMessage,
    res: ServerResponse,
    target: URL,
    body: string,
  ): Promise<void> => {
    const method = req.method ?? "GET";
    const idempotencyKey = header(req, "idempotency-key");
    const work = (failing?: "before" | "after") =>
      api.answer(
        {
          method,
          path: target.pathname,
          query: target.search.slice(1),
          body,
          contentType: header(req, "content-type") ?? "",
          authorization: header(req, "authorization") ?? "",
          idempotencyKey,
          stripeVersion: header(req, "stripe-version"),
        },
        failing,
      );
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
    if (method !== "GET") persistence.touch();
  };

  handler = async (req, res) => {
    const target = targetOf(req);
    const { pathname } = target;
    const method = req.method ?? "GET";
    const body = await readBody(req);
    if (body === undefined) {
      res.writeHead(413).end();
      return;
    }
    if (pathname.startsWith("/v1/")) {
      await handleApi(req, res, target, body);
      return;
    }
    if (
      !hostAllowed(req, [...allowHosts, new URL(url).hostname]) ||
      (method === "POST" && isCrossSite(req))
    ) {
      res.writeHead(403, { "Content-Type": "text/plain" }).end("Not from here.\n");
      return;
    }
    if (method !== "GET") persistence.touch();
    if (pathname.startsWith("/c/pay/"))
      handleCheckoutPage(world, res, { method, path: pathname, body });
    else if (pathname.startsWith("/p/session/"))
      handlePortalPage(world, res, { method, path: pathname, body });
    else if (/^\/(invoices|receipts)\//.test(pathname)) handlePaperPage(world, res, pathname);
    else if (/^\/_sandbox(\/|$)/.test(pathname)) {
      await handleControl(control, res, {
        method,
        path: pathname,
        body,
        contentType: header(req, "content-type") ?? "",
      });
    } else if (pathname === "/") showControlPage(res, world, log, control);
    else res.writeHead(404, { "Content-Type": "text/plain" }).end("Nothing here.\n");
  };

  const ticking = setInterval(() => {
    try {
      control.tick();
    } catch (error) {
      console.error("Stripe sandbox: the billing clock failed:", error);
    }
  }, TICK_MS);
  ticking.unref();
  return {
    url,
    port,
    secretKey: options.secretKey,
    webhookSecret: options.webhookSecret,
    control,
    close: async () => {
      clearInterval(ticking);
      await deliverer.close();
      await closeServer(server);
      await persistence.close();
    },
  };
}
