// A world for payment tests: the real sandbox over the wire, a real database, one or more servers, one clock.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { createStripeAdapter } from "../../server/adapters/stripe/stripe.ts";
import type { CallLimits } from "../../server/adapters/stripe/calls.ts";
import type { Backend } from "../../server/infrastructure.ts";
import { createBodyReader } from "../../server/http/body-reader.ts";
import { createStripeWebhook } from "../../server/http/routes/stripe-webhook.ts";
import { runDoctor } from "../../server/ledger/audit/audit.ts";
import { newId } from "../../server/lib/ids.ts";
import { createLedger } from "../../server/ledger/ledger.ts";
import type { Ledger } from "../../server/ledger/ports.ts";
import { createLogger } from "../../server/lib/logger.ts";
import { createPaymentService, type PaymentService } from "../../server/payment/payment.service.ts";
import { createPaymentStore } from "../../server/payment/payment.store.ts";
import { addMonths } from "../../server/payment/catalog/billing-months.ts";
import type { StripePort } from "../../server/payment/stripe/port.ts";
import { signatureHeader } from "../../server/sandbox/src/stripe/events/delivery.ts";
import {
  type StripeSandbox,
  type StripeSandboxOptions,
  startStripeSandbox,
} from "../../server/sandbox/src/stripe/server.ts";
import type { AvailableBackend, OpenedBackend } from "./databases.ts";
import { type StripeProxy, startStripeProxy } from "./stripe-proxy.ts";

/** The key the sandbox takes; for orders of a merchant, past this server. */
export const SECRET_KEY = "sk_test_payment_world";
export const WEBHOOK_SECRET = "whsec_payment_world";

/** Short, so that tests of failures end soon. */
export const TEST_LIMITS: CallLimits = {
  attemptTimeoutMs: 2_000,
  deadlineMs: 6_000,
  maxAttempts: 4,
  baseDelayMs: 20,
};

/** One server of the world: its own connections, ledger, service and webhook. */
export interface Instance {
  readonly payment: PaymentService;
  readonly ledger: Ledger;
  readonly backend: Backend;
  readonly webhookUrl: string;
  close(): Promise<void>;
}

export interface PaymentWorld {
  readonly instances: readonly [Instance, ...Instance[]];
  readonly payment: PaymentService;
  readonly models: Backend["database"]["models"];
  readonly sandbox: StripeSandbox;
  /** Between the servers and the sandbox. */
  readonly proxy: StripeProxy;
  /** Milliseconds; sandbox and servers share it. */
  now(): number;
  /** Moves everybody's clock. */
  travel(by: { months?: number; days?: number; minutes?: number }): void;
  travelTo(moment: Date): void;
  /** A user who signed in just now, with no credits. */
  createUser(): Promise<string>;
  customerOf(userId: string): Promise<string>;
  credits(userId: string): Promise<number>;
  /** Buys a package and presses pay; answers the session. */
  buy(userId: string, packageId: string): Promise<string>;
  /** Subscribes and presses pay; answers the session. */
  subscribe(userId: string, planId: string): Promise<string>;
  /** Posts a recorded event, signed now, to one instance; answers the HTTP status. `id` sends it under another id. */
  deliver(event: { id: string }, instance?: number, id?: string): Promise<number>;
  /** Waits until every event is delivered. */
  settled(): Promise<void>;
  /** Throws when the doctor finds anything wrong with what the suite has left. */
  close(): Promise<void>;
}

const log = createLogger({ level: process.env["TEST_LOG"] ?? "silent" });

async function startInstance(
  backend: Backend,
  apiBase: string,
  now: () => number,
  limits: CallLimits,
  wrapStripe: (port: StripePort) => StripePort,
): Promise<Instance> {
  const { database, locks, cache, pubsub } = backend;
  const ledger = createLedger({ database, locks, cache, pubsub, logger: log, now });
  const payment = createPaymentService({
    store: createPaymentStore({ database, ledger }),
    ledger,
    stripe: wrapStripe(
      createStripeAdapter(
        {
          secretKey: SECRET_KEY,
          webhookSecrets: ["whsec_former", WEBHOOK_SECRET],
          apiBase,
        },
        limits,
      ),
    ),
    logger: log,
    now,
    frontendUrl: "http://localhost:3000",
    signingSecrets: ["a-secret-of-thirty-two-characters"],
    sandbox: true,
  });
  const bodies = createBodyReader({
    clientAddress: (request) => request.socket.remoteAddress ?? "",
  });
  const app = express();
  app.post("/api/payment/webhook", createStripeWebhook({ payment, bodies, logger: log }));
  const server = await new Promise<Server>((resolve) => {
    const listening = createServer(app).listen(0, "127.0.0.1", () => resolve(listening));
  });
  const { port } = server.address() as AddressInfo;
  return {
    payment,
    ledger,
    backend,
    webhookUrl: `http://127.0.0.1:${port}/api/payment/webhook`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await ledger.close();
    },
  };
}

/** Opens a world on a back end. Events go to the first instance unless `webhooks` is false. */
export async function openPaymentWorld(
  available: AvailableBackend,
  options: {
    instances?: number;
    webhooks?: boolean;
    startAt?: Date;
    /** The clock stands still between travels, so that everybody pays the same proration. */
    frozen?: boolean;
    sandbox?: Partial<StripeSandboxOptions>;
    limits?: CallLimits;
    /** The servers reach the sandbox through `proxy`. */
    proxied?: boolean;
    /** Comes between the service and the adapter: holds an answer back, say. */
    wrapStripe?: (port: StripePort) => StripePort;
  } = {},
): Promise<PaymentWorld> {
  const opened: OpenedBackend = await available.open();
  const openedAt = Date.now();
  let offsetMs = options.startAt === undefined ? 0 : options.startAt.getTime() - openedAt;
  const now = () => (options.frozen ? openedAt : Date.now()) + offsetMs;
  const sandbox = await startStripeSandbox({
    secretKey: SECRET_KEY,
    webhookSecret: WEBHOOK_SECRET,
    clock: () => new Date(now()),
    retryDelaysMs: [],
    maxEvents: 200_000,
    ...options.sandbox,
  });
  const proxy = await startStripeProxy(sandbox.url);
  const instances: Instance[] = [];
  for (let index = 0; index < (options.instances ?? 1); index += 1) {
    const backend = index === 0 ? opened.backend : await opened.openAnother();
    instances.push(
      await startInstance(
        backend,
        options.proxied === true ? proxy.url : sandbox.url,
        now,
        options.limits ?? TEST_LIMITS,
        options.wrapStripe ?? ((port) => port),
      ),
    );
  }
  const [first, ...others] = instances;
  if (first === undefined) throw new Error("a world needs an instance");
  if (options.webhooks !== false) sandbox.control.setWebhookUrl(first.webhookUrl);
  const { models } = opened.backend.database;
  let users = 0;

  return {
    instances: [first, ...others],
    payment: first.payment,
    models,
    sandbox,
    proxy,
    now,
    travel: ({ months = 0, days = 0, minutes = 0 }) => {
      const target = addMonths(new Date(now()), months).getTime();
      offsetMs += target - now() + days * 86_400_000 + minutes * 60_000;
      sandbox.control.tick();
    },
    travelTo: (moment) => {
      offsetMs += moment.getTime() - now();
      sandbox.control.tick();
    },
    createUser: async () => {
      users += 1;
      const id = newId(now());
      await models.user.create({ data: { id, email: `${id}-${users}@example.com`, name: "Test" } });
      return id;
    },
    customerOf: async (userId) => {
      const user = await models.user.findUniqueOrThrow({ where: { id: userId } });
      return user.stripeCustomerId ?? "";
    },
    credits: async (userId) =>
      (await models.user.findUniqueOrThrow({ where: { id: userId } })).credits,
    buy: async (userId, packageId) => {
      const { sessionId } = await first.payment.checkout(userId, { packageId });
      sandbox.control.completeCheckout(sessionId);
      return sessionId;
    },
    subscribe: async (userId, planId) => {
      const { sessionId } = await first.payment.subscribe(userId, { planId });
      sandbox.control.completeCheckout(sessionId);
      return sessionId;
    },
    deliver: async (event, instance = 0, id = event.id) => {
      const body = JSON.stringify({ ...event, id });
      const target = instances[instance % instances.length] ?? first;
      const answer = await fetch(target.webhookUrl, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          "Stripe-Signature": signatureHeader(body, WEBHOOK_SECRET, Math.floor(now() / 1000)),
        },
        body,
      });
      await answer.text();
      return answer.status;
    },
    settled: () => sandbox.control.idle(),
    close: async () => {
      await proxy.close();
      await sandbox.close();
      for (const instance of instances) await instance.close();
      const violations = await runDoctor({ database: opened.backend.database });
      await opened.close();
      if (violations.length > 0)
        throw new Error(`the doctor found: ${JSON.stringify(violations.slice(0, 5))}`);
    },
  };
}

/** Checks CONTRACT section 6 (1, 2, 4) for one user by reading the rows; answers the sentences of what is wrong. */
export async function brokenInvariants(
  models: PaymentWorld["models"],
  userId: string,
): Promise<string[]> {
  const broken: string[] = [];
  const user = await models.user.findUniqueOrThrow({ where: { id: userId } });
  const logs = await models.creditLog.findMany({ where: { userId }, orderBy: { seq: "asc" } });
  let balance = 0;
  logs.forEach((entry, index) => {
    balance += entry.amount;
    if (entry.seq !== index + 1) broken.push(`seq ${entry.seq} at ${index + 1}`);
    if (entry.balance !== balance) broken.push(`balance ${entry.balance}, not ${balance}`);
  });
  if (user.credits !== balance) broken.push(`users.credits ${user.credits}, not ${balance}`);
  const lots = await models.creditGrant.findMany({ where: { userId } });
  const open = lots.reduce((sum, lot) => sum + lot.remaining, 0);
  if (open !== Math.max(user.credits, 0)) broken.push(`lots ${open} of ${user.credits}`);
  const payments = await models.payment.findMany({ where: { userId } });
  for (const payment of payments) {
    const granted = lots
      .filter(
        ({ grantKey }) =>
          grantKey === `payment:${payment.id}` || grantKey.startsWith(`payment:${payment.id}:`),
      )
      .reduce((sum, lot) => sum + lot.amount, 0);
    const owed = payment.paidAt === null ? 0 : payment.creditsPurchased;
    if (granted !== owed) broken.push(`payment ${payment.status} granted ${granted} of ${owed}`);
  }
  return broken;
}

/** Seeded randomness, so that a failure can be walked again: print the seed, pass it as SEED. */
export function seededRandom(name: string): {
  next(): number;
  shuffle<T>(items: readonly T[]): T[];
} {
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  process.stdout.write(`${name}: SEED=${seed}\n`);
  let state = seed >>> 0;
  // mulberry32
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  return {
    next,
    shuffle: (items) => {
      const mixed = [...items];
      for (let at = mixed.length - 1; at > 0; at -= 1) {
        const other = Math.floor(next() * (at + 1));
        const [a, b] = [mixed[at], mixed[other]];
        if (a !== undefined && b !== undefined) [mixed[at], mixed[other]] = [b, a];
      }
      return mixed;
    },
  };
}

/** Runs `work` over `items`, `width` at a time. */
export async function eachOf<T>(
  items: readonly T[],
  width: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) {
      const item = items[at];
      if (item !== undefined) await work(item, at);
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
}
