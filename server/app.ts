// Owns the composition: config and back end in, stores -> services -> routers -> HTTP out. Nothing here listens or reads files.
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
import { createSignInStore } from "./auth/sign-in/sign-in.store.ts";
import type { Backend } from "./infrastructure.ts";
import type { Config } from "./config/config.ts";
import type { CommonHeaders } from "./http/unreadable.ts";
import { createCreditService } from "./credit/credit.service.ts";
import { priceVersion } from "./credit/prices.ts";
import { withPackageSuggestion } from "./credit/package-suggestion.ts";
import { createCreditStore } from "./credit/credit.store.ts";
import { createBodyReader } from "./http/body-reader.ts";
import { createCrossSiteCheck } from "./http/cross-site.ts";
import { createClientAddress } from "./http/client-address.ts";
import { sendError } from "./http/response.ts";
import { createContextFactory } from "./http/context.ts";
import { createCommonHeaders, createEdge, pathOf } from "./http/middleware.ts";
import { createReadiness } from "./http/routes/health.ts";
import { createMetrics } from "./http/routes/metrics.ts";
import { createRateLimits } from "./http/rate-limits.ts";
import { createRoutes } from "./http/routes.ts";
import { createRest } from "./http/rest/rest.ts";
import { createTrpcHandler, TRPC_PREFIX } from "./http/trpc.ts";
import { createJobs } from "./jobs/jobs.ts";
import { createJobRunner, type JobRunner } from "./jobs/runner.ts";
import { runDoctor } from "./ledger/audit/audit.ts";
import { createExpiryStore } from "./ledger/store/expiry.store.ts";
import { createLedger } from "./ledger/ledger.ts";
import type { Ledger } from "./ledger/ports.ts";
import type { Logger } from "./lib/logger.ts";
import { createPaymentService, type PaymentService } from "./payment/payment.service.ts";
import type { StripePort } from "./payment/stripe/port.ts";
import { createServiceService } from "./workers/workers.service.ts";
import { createServiceStore } from "./workers/workers.store.ts";
import type { Services } from "./trpc/context.ts";
import { createUserService } from "./user/user.service.ts";
import { createUserStore } from "./user/user.store.ts";

/** What an app is made of. */
export interface AppDeps {
  readonly config: Config;
  /** Stays the caller's: close it after the app. */
  readonly backend: Backend;
  readonly logger: Logger;
  /** The outside world, where it shall not be what the configuration says. */
  readonly adapters?: {
    readonly stripe?: StripePort;
    readonly identityProvider?: IdentityProvider;
    readonly model?: ModelPort;
  };
  /** Milliseconds since the epoch; Date.now unless told. */
  readonly clock?: () => number;
  /** Tests bring shorter ones. */
  readonly runTimings?: Partial<RunTimings>;
  /** Tests turn the lean tRPC path off to compare. */
  readonly leanPath?: boolean;
}

/** One whole server without its socket. */
export interface App {
  /** Answers any request; for http.createServer. */
  handle(request: IncomingMessage, response: ServerResponse): void;
  /** The headers of answers that no handler gives. */
  readonly commonHeaders: CommonHeaders;
  readonly services: Services;
  readonly payment: PaymentService;
  readonly ledger: Ledger;
  readonly jobs: JobRunner;
  /** From now on /ready says no. */
  beginShutdown(): void;
  /** Ends open streams in good order. */
  endStreams(): void;
  /** Stops jobs, finishes what the ledger and the sessions still write. The back end may be closed after it. */
  close(): Promise<void>;
}

/** Puts the app together; jobs run once `jobs.start()` is called. */
export function createApp(deps: AppDeps): App {
  const { config, backend, logger } = deps;
  const now = deps.clock ?? Date.now;
  const { database, cache, locks, pubsub } = backend;

  const metrics = createMetrics({
    config,
    backlog: () => payment.eventBacklog(),
    ledgerPending: () => ledger.pending,
  });
  const ledger = createLedger({
    database,
    locks,
    cache,
    pubsub,
    logger,
    now,
    onBatch: metrics.batch,
  });
  const payment = createPaymentService({
    database,
    ledger,
    stripe: deps.adapters?.stripe ?? createStripeAdapter(config.stripe),
    logger,
    now,
    frontendUrl: config.frontendOrigins[0],
    signingSecrets: config.tokens.accessSecrets,
    sandbox: config.sandbox,
  });
  const packages = { suggest: payment.suggestPackage };
  const auth = createAuthService({
    config,
    sessions: createSessionStore(database),
    signIns: createSignInStore({ database, ledger, logger }),
    // A memory of one process's own would not hear of what other processes on the same database revoke.
    sharedCache: config.redis === null ? null : cache,
    identityProvider:
      deps.adapters?.identityProvider ??
      createGoogleIdentityProvider({ config: config.google, now }),
    logger,
    now,
  });
  const { costs } = config.credits;
  const services: Services = {
    auth,
    user: createUserService({
      users: createUserStore(database),
      endSubscription: payment.endSubscription,
      invalidateSessions: auth.invalidateSessions,
      logger,
      now,
    }),
    credit: createCreditService({
      store: createCreditStore(database),
      packages,
      ledger,
      // Without Redis nothing tells other processes on the same database of a change: read, and look often.
      ...(config.redis === null ? { cache: null, livePollMs: 2_000 } : { cache }),
      pubsub,
      logger,
      now,
      costs,
    }),
    payment,
    ai: createAiService({
      store: createRunStore({ database, ledger, now }),
      output: backend.runOutput,
      pubsub,
      model: deps.adapters?.model ?? createModelAdapter(config.ai ?? { baseUrl: "", apiKey: null }),
      models: featureModels(config),
      prices: { credits: costs, version: priceVersion(costs) },
      withPackageSuggestion: (work) => withPackageSuggestion(packages, work),
      logger,
      now,
      ...(deps.runTimings === undefined ? {} : { timings: deps.runTimings }),
    }),
    service: createServiceService({
      store: createServiceStore(database),
      ledger,
      costs,
      packages,
      serviceKeys: config.serviceKeys,
    }),
    admin: createAdminService({
      store: createAdminStore({ database, ledger, now }),
      payments: {
        refundPayment: payment.refundPayment,
        listEvents: payment.listEvents,
        replayEvent: ({ eventId }) => payment.replayEvent(eventId),
      },
      ledger,
      invalidateSessions: auth.invalidateSessions,
      logger,
      now,
    }),
  };

  const jobs = createJobRunner({
    database,
    logger,
    now,
    jobs: createJobs({
      payment,
      auth,
      ai: services.ai,
      expiry: { store: createExpiryStore(database), ledger, now },
      audit: (signal) => runDoctor({ database, signal }),
      logger,
    }),
  });
  let shuttingDown = false;
  const clientAddress = createClientAddress(config.trustProxy);
  const createContext = createContextFactory({
    services,
    limits: createRateLimits({ backend, config, now }),
    logger,
    config,
    clientAddress,
  });
  const bodies = createBodyReader({ clientAddress });
  const refuseCrossSite = createCrossSiteCheck({
    frontendOrigins: config.frontendOrigins,
    clientAddress,
    logger,
  });
  const edge = createEdge({ config, logger });
  const trpc = createTrpcHandler({
    createContext,
    bodies,
    refuseCrossSite,
    logger,
    lean: deps.leanPath ?? true,
  });
  const rest = createRest({ createContext, bodies, refuseCrossSite });
  const routes = createRoutes({
    rest: rest.router,
    config,
    services,
    createContext,
    bodies,
    refuseCrossSite,
    metrics,
    logger,
    readiness: createReadiness({
      backend,
      backlog: payment.eventBacklog,
      lastDoctor: () => jobs.lastOutcome("doctor"),
      isShuttingDown: () => shuttingDown,
    }),
  });

  return {
    handle(request, response) {
      metrics.watch(request, response);
      // A client that leaves in the middle is its own affair and must not end the process.
      response.on("error", () => undefined);
      edge(request, response, () => {
        // tRPC is the hot path and needs nothing of Express (docs/decisions/0010-lean-trpc-path.md).
        const path = pathOf(request.url);
        if (path.startsWith(TRPC_PREFIX)) trpc.handle(request, response);
        else if (isDecodable(path)) routes(request, response);
        else sendError(request, response, { statusCode: 400 });
      });
    },
    commonHeaders: createCommonHeaders(config),
    services,
    payment,
    ledger,
    jobs,
    beginShutdown() {
      shuttingDown = true;
    },
    endStreams() {
      trpc.endStreams();
      rest.endStreams();
    },
    async close() {
      shuttingDown = true;
      await jobs.close();
      await services.ai.close();
      await auth.close();
      await ledger.close();
      metrics.close();
    },
  };
}

/** Which model answers which feature: the quick chat has its own, everything else the stronger one. */
function featureModels({ ai }: Config): FeatureModels {
  if (ai === null) return {};
  const { flash, pro } = ai.models;
  return {
    ...(flash === null ? {} : { "chat-flash": flash }),
    ...(pro === null ? {} : { "chat-pro": pro, "ppt-generate": pro, "ppt-edit": pro }),
  };
}

/** Whether the percent-encoding of a path holds: what it does not mean must not be guessed. */
function isDecodable(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}
