// Owns the Stripe stand-in as a running server: it joins the API, the hosted pages, the event delivery and the controls.
import type { IncomingMessage, ServerResponse } from "node:http";
import { closeServer, header, hostAllowed, isCrossSite, listen, readBody } from "../http.ts";
import { accountRoutes } from "./account.ts";
import { createApi } from "./api.ts";
import { catalogRoutes } from "./catalog.ts";
import { checkoutRoutes } from "./checkout.ts";
import { handleCheckoutPage } from "./checkout-page.ts";
import { createControl, DEFAULT_ENDPOINT_ID, type StripeControl } from "./control.ts";
import { createDeliverer } from "./delivery.ts";
import { createEventLog } from "./events.ts";
import { disputeRoutes } from "./disputes.ts";
import { invoiceRoutes } from "./invoices.ts";
import { paymentRoutes } from "./payments.ts";
import { refundRoutes } from "./refunds.ts";
import { subscriptionRoutes } from "./subscriptions.ts";
import { newCoupon, newPromotionCode } from "./shapes-catalog.ts";
import { createWorld, emptyState, type World } from "./world.ts";

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

/** Starts the stand-in for api.stripe.com and its hosted pages. Rejects with a clear sentence when the port is taken. */
export async function startStripeSandbox(options: StripeSandboxOptions): Promise<StripeSandbox> {
  const host = options.host ?? "127.0.0.1";
  const allowHosts = (options.allowHosts ?? []).map((name) => name.toLowerCase());
  const state = emptyState();
  const endpoints = state.tables.webhookEndpoints;
  let handler: (req: IncomingMessage, res: ServerResponse) => Promise<void> = async () => undefined;
  const { server, port } = await listen("Stripe sandbox", options.port ?? 0, host, (req, res) =>
    handler(req, res),
  );
  const url = options.publicUrl ?? `http://${host === "0.0.0.0" ? "localhost" : host}:${port}`;

  const log = createEventLog({
    apiVersion: STRIPE_API_VERSION,
    maxEvents: options.maxEvents ?? 20_000,
    newId: () => world.newId("evt"),
    endpoints: () => endpoints.values(),
  });
  const world: World = createWorld({
    clock: options.clock ?? (() => new Date()),
    publicUrl: url,
    state,
    record: (given) => deliverer.dispatch(log.record(given)),
  });
  const deliverer = createDeliverer({
    log,
    endpoint: (id) => endpoints.get(id),
    wallNow: world.wallNow,
    retryDelaysMs: options.retryDelaysMs ?? RETRY_DELAYS_MS,
    concurrency: options.deliveryConcurrency ?? 4,
    allowHosts,
    onChange: () => undefined,
  });
  const control = createControl({
    world,
    log,
    deliverer,
    webhookSecret: options.webhookSecret,
    apiVersion: STRIPE_API_VERSION,
  });
  endpoints.delete(DEFAULT_ENDPOINT_ID);
  if (options.webhookUrl !== undefined) control.setWebhookUrl(options.webhookUrl);
  if (state.tables.coupons.size === 0) addSampleCodes(world);

  const api = createApi({
    world,
    routes: [
      ...catalogRoutes,
      ...checkoutRoutes,
      ...paymentRoutes,
      ...subscriptionRoutes,
      ...invoiceRoutes,
      ...refundRoutes,
      ...disputeRoutes,
      ...accountRoutes(log, STRIPE_API_VERSION),
    ],
    secretKey: options.secretKey,
    apiVersion: STRIPE_API_VERSION,
  });

  handler = async (req, res) => {
    const target = new URL(req.url ?? "/", "http://sandbox");
    const body = await readBody(req);
    if (body === undefined) {
      res.writeHead(413).end();
      return;
    }
    const method = req.method ?? "GET";
    if (target.pathname.startsWith("/v1/")) {
      const answer = api.answer({
        method,
        path: target.pathname,
        query: target.search.slice(1),
        body,
        contentType: header(req, "content-type") ?? "",
        authorization: header(req, "authorization") ?? "",
        idempotencyKey: header(req, "idempotency-key"),
        stripeVersion: header(req, "stripe-version"),
      });
      res.writeHead(answer.status, answer.headers).end(answer.body);
      return;
    }
    if (
      !hostAllowed(req, [...allowHosts, new URL(url).hostname]) ||
      (method === "POST" && isCrossSite(req))
    ) {
      res.writeHead(403, { "Content-Type": "text/plain" }).end("Not from here.\n");
      return;
    }
    if (target.pathname.startsWith("/c/pay/")) {
      handleCheckoutPage(world, res, method, target.pathname, body);
      return;
    }
    res.writeHead(404, { "Content-Type": "text/plain" }).end("Nothing here.\n");
  };

  return {
    url,
    port,
    secretKey: options.secretKey,
    webhookSecret: options.webhookSecret,
    control,
    close: async () => {
      await deliverer.close();
      await closeServer(server);
    },
  };
}
