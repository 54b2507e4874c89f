// The composition root: from config and back end to stores, services, routers and HTTP. It does not listen or read
// files.
import { FEATURES } from "../shared/src/features.ts";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createGoogleIdentityProvider } from "./adapters/google/google.ts";
import { createModelAdapter } from "./adapters/model.ts";
import { createStripeAdapter } from "./adapters/stripe/stripe.ts";
import { createAdminService } from "./admin/admin.service.ts";
import { createAdminStore } from "./admin/admin.store.ts";
import { createAiService } from "./ai/ai.service.ts";
import type { RunTimings } from "./ai/ai.types.ts";
import type { FeatureModels, ModelPort } from "./ai/ports.ts";
import { createRunStore } from "./ai/runs.store.ts";
import { createAuthService } from "./auth/auth.service.ts";
import type { IdentityProvider } from "./auth/ports.ts";
import { createSessionStore } from "./auth/session/session.store.ts";
import { writeSignIn } from "./auth/sign-in/sign-in.store.ts";
import { databaseClock } from "./database/clock.ts";
import type { WorkerLink } from "./cluster/worker-link.ts";
import type { Backend } from "./infrastructure.ts";
import type { Config } from "./config/config.ts";
import type { CommonHeaders } from "./http/client-errors.ts";
import { createCreditService } from "./credit/credit.service.ts";
import type { Charging } from "./credit/ports.ts";
import { priceVersion } from "./credit/prices.ts";
import { withPackageSuggestion } from "./credit/package-suggestion.ts";
import { createCreditStore } from "./credit/credit.store.ts";
import { createHttpHandler } from "./http/http.ts";
import { createCommonHeaders } from "./http/common-headers.ts";
import { createReadiness } from "./health/readiness.ts";
import { createJobs } from "./jobs/jobs.ts";
import { createRetentionStore } from "./jobs/retention.store.ts";
import { createJobRunner, type JobRunner } from "./jobs/runner.ts";
import { auditLedger } from "./ledger/audit/audit.ts";
import { createExpiryStore } from "./ledger/store/expiry.store.ts";
import { createCreditTotalsStore } from "./ledger/totals/credit-totals.store.ts";
import { createUsageTotalsStore } from "./ledger/totals/usage-totals.store.ts";
import { createLedger } from "./ledger/ledger.ts";
import type { Ledger } from "./ledger/ports.ts";
import type { Logger } from "./lib/logger.ts";
import type { Tracer } from "./lib/tracer.ts";
import { createPaymentService, type PaymentService } from "./payment/payment.service.ts";
import { createPaymentStore } from "./payment/payment.store.ts";
import type { StripePort } from "./payment/stripe/port.ts";
import { createWorkersService } from "./workers/workers.service.ts";
import { createWorkersStore } from "./workers/workers.store.ts";
import type { Services } from "./trpc/context.ts";
import { createTelemetry, type Telemetry } from "./telemetry/telemetry.ts";
import { createUserService } from "./user/user.service.ts";
import { createUserStore } from "./user/user.store.ts";

/** Dependencies of an app. */
export interface AppDeps {
  readonly config: Config;
  /** Owned by the caller, who closes it after the app. */
  readonly backend: Backend;
  readonly logger: Logger;
  /** Default to those of the configuration. */
  readonly adapters?: {
    readonly stripe?: StripePort;
    readonly identityProvider?: IdentityProvider;
    readonly model?: ModelPort;
  };
  /** Milliseconds since the epoch; defaults to Date.now. */
  readonly clock?: () => number;
  /** Tests use shorter ones. */
  readonly runTimings?: Partial<RunTimings>;
  /** The other processes on this port; absent when this is the only one. */
  readonly workers?: Pick<WorkerLink, "workers" | "metrics">;
  /** Tests turn the lean tRPC path off to compare. */
  readonly leanPath?: boolean;
  /** Owned by the caller; null or absent when nothing is traced. */
  readonly tracer?: Tracer | null;
  /** How often readiness checks the server's dependencies; tests check more often. */
  readonly checkEveryMs?: number;
}

/** Instances' clocks may differ from the database's by less than this; one further off is considered wrong. */
const MAX_CLOCK_SKEW_MS = 60_000;

const ALONE = { wanted: 1, listening: 1, started: true };

/** A complete server without its socket. */
export interface App {
  /** Handles any request; for http.createServer. */
  handle(request: IncomingMessage, response: ServerResponse): void;
  /** The headers of responses that no handler writes. */
  readonly commonHeaders: CommonHeaders;
  readonly services: Services;
  readonly payment: PaymentService;
  readonly ledger: Ledger;
  readonly jobs: JobRunner;
  /** From now on /ready responds 503, and jobs are asked to stop; they have as long as the requests in flight. */
  beginShutdown(): void;
  /** Ends open streams cleanly. */
  endStreams(): void;
  /** Stops the jobs and finishes pending writes of the ledger and the sessions; then the back end may be closed. */
  close(): Promise<void>;
}

/** Assembles the app: stores, services, routers, HTTP. Jobs run once `jobs.start()` is called. */
export function createApp(deps: AppDeps): App {
  const { config, logger, tracer = null } = deps;
  const now = deps.clock ?? Date.now;
  const telemetry = createTelemetry(deps, {
    payment: () => payment,
    ledger: () => ledger,
    jobs: () => jobs,
    readiness: () => readiness(),
    renderAllWorkers: deps.workers?.metrics ?? null,
  });
  const { backend, metrics, onBatch, onApplied, onExpired } = telemetry;
  const { database, cache, locks, pubsub } = backend;
  const ledger = createLedger({
    ...{ database, locks, cache, pubsub, logger, now, tracer },
    ...{ onBatch, onApplied, onExpired },
    ...(deps.clock === undefined ? { maxSkewMs: MAX_CLOCK_SKEW_MS } : {}),
  });
  const parts: Parts = { ...deps, backend, now, ledger, telemetry };
  const payment = createPayment(parts);
  const services = createServices(parts, payment);
  const jobs = createAppJobs(parts, services);
  let shuttingDown = false;
  let drainsSinceMs: number | undefined;
  const readiness = createReadiness({
    backend,
    logger,
    ...externalProbes(config, payment),
    backlog: payment.eventBacklog,
    lastDoctor: () => jobs.lastOutcome("doctor"),
    isShuttingDown: () => shuttingDown,
    workers: deps.workers?.workers ?? (() => ALONE),
    ...(deps.checkEveryMs === undefined ? {} : { checkEveryMs: deps.checkEveryMs }),
  });
  const http = createHttpHandler({
    ...{ config, backend, services, metrics, logger, tracer },
    lean: deps.leanPath ?? true,
    readiness,
  });

  return {
    handle: http.handle,
    commonHeaders: createCommonHeaders(config),
    services,
    payment,
    ledger,
    jobs,
    beginShutdown() {
      shuttingDown = true;
      void jobs.close();
    },
    endStreams() {
      drainsSinceMs ??= performance.now();
      http.endStreams();
    },
    async close() {
      shuttingDown = true;
      await jobs.close();
      await services.ai.close(drainsSinceMs);
      await services.auth.close();
      await ledger.close();
      telemetry.close();
    },
  };
}

/** What readiness checks besides the back end. */
function externalProbes({ stripe, google, ai }: Config, payment: PaymentService) {
  const urls = [stripe.apiBase, google.issuer, ...(ai === null ? [] : [ai.baseUrl])];
  return {
    stripe: stripe.secretKey === "" ? null : payment,
    clocks: urls.filter((url) => URL.canParse(url)).map((url) => new URL(url)),
  };
}

/** The dependencies of all services. */
interface Parts extends AppDeps {
  readonly now: () => number;
  readonly ledger: Ledger;
  readonly telemetry: Telemetry;
}

function createPayment(parts: Parts): PaymentService {
  const { config, backend, adapters, ledger, logger, now, telemetry } = parts;
  return createPaymentService({
    store: createPaymentStore({
      ...{ database: backend.database, ledger },
      onMoney: telemetry.onMoney,
    }),
    ledger,
    stripe: telemetry.stripe(adapters?.stripe ?? createStripeAdapter(config.stripe)),
    logger,
    now,
    frontendUrl: config.frontendOrigins[0],
    signingSecrets: config.tokens.accessSecrets,
    sandbox: config.sandbox,
  });
}

function createServices(parts: Parts, payment: PaymentService): Services {
  const { config, backend, ledger, logger, now } = parts;
  const { database } = backend;
  const { costs } = config.credits;
  const charging: Charging = {
    prices: { credits: costs, version: priceVersion(costs) },
    withPackageSuggestion: (work) => withPackageSuggestion(payment.suggestPackage, work),
  };
  const auth = createAuth(parts);
  const credit = createCredit(parts, charging);
  return {
    auth,
    user: createUserService({
      users: createUserStore(database),
      endSubscription: payment.endSubscription,
      invalidateSessions: auth.invalidateSessions,
      logger,
      now,
    }),
    credit,
    payment,
    ai: createAi(parts, charging),
    service: createWorkersService({
      ...charging,
      store: createWorkersStore(database),
      ledger,
      serviceKeys: config.serviceKeys,
    }),
    admin: createAdminService({
      store: createAdminStore({ database, ledger, now }),
      payments: payment,
      ledger,
      creditHistory: credit.history,
      invalidateSessions: auth.invalidateSessions,
      logger,
      now,
    }),
  };
}

function createAuth(parts: Parts): Services["auth"] {
  const { config, backend, adapters, ledger, logger, now, telemetry } = parts;
  const service = createAuthService({
    config,
    sessions: createSessionStore(backend.database),
    writeSignIn: (request) => writeSignIn({ database: backend.database, ledger, logger }, request),
    // An in-process cache would miss revocations by other processes on the same database.
    sharedCache: config.redis === null ? null : backend.cache,
    usedStates: backend.cache,
    identityProvider: telemetry.google(
      adapters?.identityProvider ?? createGoogleIdentityProvider({ config: config.google, now }),
    ),
    logger,
    now,
  });
  return telemetry.auth(service);
}

function createCredit(
  { config, backend, ledger, logger, now }: Parts,
  charging: Charging,
): Services["credit"] {
  return createCreditService({
    ...charging,
    store: createCreditStore(backend.database),
    ledger,
    // Without Redis, other processes on the same database publish no changes: no cache, and frequent polling.
    ...(config.redis === null ? { cache: null, livePollMs: 2_000 } : { cache: backend.cache }),
    pubsub: backend.pubsub,
    logger,
    now,
  });
}

function createAi(
  { config, backend, adapters, ledger, logger, now, runTimings, telemetry }: Parts,
  charging: Charging,
): Services["ai"] {
  return createAiService({
    ...charging,
    store: createRunStore({ database: backend.database, ledger, now }),
    output: backend.runOutput,
    pubsub: backend.pubsub,
    model: telemetry.model(
      adapters?.model ?? createModelAdapter(config.ai ?? { baseUrl: "", apiKey: null }),
    ),
    models: featureModels(config),
    logger,
    now,
    ...(runTimings === undefined ? {} : { timings: runTimings }),
  });
}

function createAppJobs(
  { backend, ledger, logger, now, clock, telemetry }: Parts,
  { payment, ai }: Pick<App, "payment"> & Services,
): JobRunner {
  const { database } = backend;
  const sharedNow = clock ?? databaseClock(database);
  // The slower of two clocks: one that is ahead must neither delete what is still needed nor take unexpired credits.
  const slowerNow = async () => Math.min(now(), await sharedNow());
  return createJobRunner({
    database,
    logger,
    now: sharedNow,
    onRun: telemetry.metrics.jobs.ran,
    jobs: telemetry.jobs(
      createJobs({
        payment,
        ai,
        expiry: { store: createExpiryStore(database), ledger, logger, now: slowerNow },
        retention: { store: createRetentionStore(database), now: slowerNow },
        rollUps: {
          credits: createCreditTotalsStore(database),
          usage: createUsageTotalsStore(database),
          now: sharedNow,
        },
        audit: (signal) =>
          // In small steps, idle two thirds of the time, so that spends continue meanwhile.
          auditLedger({
            ...{ database, signal, now: sharedNow },
            ...{ whole: false, usersPerStep: 200, pauseRatio: 2 },
          }),
        logger,
      }),
    ),
  });
}

/** Returns the model for each feature: the quick chat has its own, everything else the stronger one. */
function featureModels({ ai }: Config): FeatureModels {
  if (ai === null) return {};
  const { flash, pro } = ai.models;
  const models = FEATURES.map((feature) => [feature, feature === "chat-flash" ? flash : pro]);
  return Object.fromEntries(models.filter(([, model]) => model !== null)) as FeatureModels;
}
