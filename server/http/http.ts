// The handler of every request: the middleware, then tRPC on its own path or Express for everything else.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Config } from "../config/config.ts";
import type { Backend } from "../infrastructure.ts";
import type { Logger } from "../lib/logger.ts";
import { isDecodable } from "../lib/text.ts";
import type { Tracer } from "../lib/tracer.ts";
import type { Services } from "../trpc/context.ts";
import { createBodyReader } from "./body-reader.ts";
import { createClientAddress } from "./client-address.ts";
import { createContextFactory } from "./context.ts";
import { createSameSiteCheck } from "./cross-site.ts";
import { createMiddleware } from "./middleware.ts";
import { pathOf, TRPC_PREFIX } from "./path.ts";
import { createRateLimits } from "./rate-limits.ts";
import { sendError } from "./response.ts";
import { recordOf } from "./request-record.ts";
import { createRest } from "./rest/rest.ts";
import { createRoutes } from "./routes.ts";
import { handleTraced } from "./traced.ts";
import type { Readiness } from "../health/health.types.ts";
import type { RequestOutcome } from "../telemetry/http-metrics.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { createTrpcHandler } from "./trpc/handler.ts";

/** Dependencies of the handler. */
export interface HttpHandlerDeps {
  readonly config: Config;
  readonly backend: Pick<Backend, "limiter">;
  readonly services: Services;
  readonly metrics: Metrics;
  readonly readiness: () => Promise<Readiness>;
  readonly logger: Logger;
  readonly tracer: Tracer | null;
  /** False turns the lean tRPC path off. */
  readonly lean: boolean;
}

/** Creates the handler for http.createServer from middleware, context, tRPC, REST and the other routes. */
export function createHttpHandler(deps: HttpHandlerDeps) {
  const { config, services, logger, metrics, tracer } = deps;
  const clientAddress = createClientAddress(config.trustProxy);
  const { frontendOrigins } = config;
  const shared = {
    bodies: createBodyReader({ clientAddress }),
    assertSameSite: createSameSiteCheck({ frontendOrigins, clientAddress }),
    createContext: createContextFactory({
      ...{ services, logger, tracer, config, clientAddress },
      limits: createRateLimits({ ...deps, onLimited: metrics.http.limited }),
    }),
    logger,
  };
  const middleware = createMiddleware({ config, logger });
  const trpc = createTrpcHandler({ ...shared, lean: deps.lean });
  const rest = createRest(shared);
  const { readiness } = deps;
  const routes = createRoutes({
    ...shared,
    clientAddress,
    config,
    services,
    metrics,
    readiness,
    rest: rest.router,
  });
  const answer = (request: IncomingMessage, response: ServerResponse) =>
    middleware(request, response, (headers) => {
      // tRPC is the hot path and needs nothing from Express (docs/decisions/0021-lean-trpc-path.md).
      const path = pathOf(request.url);
      if (path.startsWith(TRPC_PREFIX)) {
        trpc.handle(request, headers);
        return;
      }
      headers.handOver();
      if (isDecodable(path)) routes(request, response);
      else sendError(request, response, { statusCode: 400 });
    });
  return {
    handle(request: IncomingMessage, response: ServerResponse): void {
      metrics.http.watch(request, response, outcomeOf);
      // A client that disconnects midway must not crash the process.
      response.on("error", ignore);
      if (tracer === null) answer(request, response);
      else handleTraced(tracer, { request, response }, () => answer(request, response));
    },
    /** Ends open streams cleanly. */
    endStreams(): void {
      trpc.endStreams();
      rest.endStreams();
    },
  };
}

function ignore(): void {}

function outcomeOf(request: IncomingMessage): RequestOutcome {
  const { route, notes } = recordOf(request);
  return { route, refusal: notes.code };
}
