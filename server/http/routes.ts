// Owns everything Express answers: what is not tRPC, the 404, and the last error handler.
import type { IncomingMessage, ServerResponse } from "node:http";
import express, {
  type Express,
  type IRouter,
  type NextFunction,
  type Request,
  type Response,
} from "express";
import type { Config } from "../config/config.ts";
import { AppError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { Context, Services } from "../trpc/context.ts";
import { countCall } from "../trpc/limits.ts";
import { createTrustedProxy } from "./client-address.ts";
import type { RefuseCrossSite } from "./cross-site.ts";
import { sendError, sendJson, setRoute } from "./response.ts";
import { createDocs } from "./openapi/docs.ts";
import { createGoogleRoutes } from "./routes/google.ts";
import { health, type Readiness } from "./routes/health.ts";
import type { Metrics } from "./routes/metrics.ts";
import { createOpenApi } from "./openapi/openapi.ts";
import { createStripeWebhook } from "./routes/stripe-webhook.ts";
import type { BodyReader } from "./body-reader.ts";

/** What the routes stand on. */
export interface RoutesDeps {
  readonly config: Config;
  readonly services: Services;
  readonly createContext: (request: IncomingMessage, response: ServerResponse) => Context;
  readonly bodies: BodyReader;
  readonly refuseCrossSite: RefuseCrossSite;
  readonly rest: IRouter;
  readonly readiness: () => Promise<Readiness>;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** The Express app behind the edge. */
export function createRoutes(deps: RoutesDeps): Express {
  const { config, services, logger } = deps;
  const { refuseCrossSite } = deps;
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("trust proxy", createTrustedProxy(config.trustProxy));
  app.set("query parser", "simple");
  app.enable("case sensitive routing");

  app.get("/health", (request, response) => {
    setRoute(request, "/health");
    sendJson(response, 200, health());
  });
  app.get("/ready", async (request, response) => {
    setRoute(request, "/ready");
    const readiness = await deps.readiness();
    sendJson(response, readiness.ready ? 200 : 503, readiness);
  });
  app.get("/metrics", async (request, response) => {
    setRoute(request, "/metrics");
    const answer = await deps.metrics.render(request.headers.authorization);
    if (answer === "off") throw AppError.of("NOT_FOUND", "There is nothing here.");
    if (answer === "refused")
      throw AppError.of("UNAUTHENTICATED", "Send Authorization: Bearer METRICS_TOKEN.");
    response.setHeader("Content-Type", answer.type);
    response.end(answer.text);
  });

  app.use(createDocs(createOpenApi(new URL(config.google.callbackUrl).origin)));

  app.use("/api/payment/webhook", named("/api/payment/webhook"));
  app.post(
    "/api/payment/webhook",
    createStripeWebhook({ payment: services.payment, bodies: deps.bodies, logger }),
  );
  app.use("/api/auth/google/callback", named("/api/auth/google/callback"));
  app.use("/api/auth/google", named("/api/auth/google"));
  app.use(
    createGoogleRoutes({
      auth: services.auth,
      config,
      logger,
      limit: async (request, response) => {
        const ctx = deps.createContext(request, response);
        await countCall(ctx, "signIn", ctx.request.ip);
      },
    }),
  );
  app.use(deps.rest);
  app.use("/api/", async (request, response, next) => {
    refuseCrossSite(request);
    const ctx = deps.createContext(request, response);
    await countCall(ctx, "anonymous", ctx.request.ip);
    next();
  });

  app.use((request, response) => {
    sendError(request, response, AppError.of("NOT_FOUND", "There is nothing here."));
  });
  app.use((error: unknown, request: Request, response: Response, _next: NextFunction) => {
    // A malformed path is the caller's fault, whatever Express calls it.
    const known = error instanceof URIError ? { statusCode: 400 } : error;
    if (response.headersSent) {
      response.destroy();
      return;
    }
    sendError(request, response, known);
    if (response.statusCode >= 500) logger.error({ err: error }, "request failed");
  });
  return app;
}

function named(route: string) {
  return (request: Request, _response: Response, next: NextFunction): void => {
    // The first name given is the longest path: the callback lies under the start of the sign-in.
    if (!request.res?.locals["route"]) setRoute(request, route);
    if (request.res) request.res.locals["route"] = route;
    next();
  };
}
