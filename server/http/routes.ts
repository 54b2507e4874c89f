// Everything Express serves: all that is not tRPC, the 404, and the final error handler.
import type { IncomingMessage } from "node:http";
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
import { publicBaseOf } from "../lib/public-base.ts";
import type { Services } from "../trpc/context.ts";
import { countCall } from "../trpc/limits.ts";
import { noteRefusal } from "../trpc/notes.ts";
import { toAppError } from "../trpc/trpc.ts";
import type { CreateContext } from "./context.ts";
import type { AssertSameSite } from "./cross-site.ts";
import { recordOf, setRoute } from "./request-record.ts";
import { sendError, sendJson } from "./response.ts";
import { createDocs } from "./openapi/docs.ts";
import { createGoogleRoutes } from "./routes/google.ts";
import type { Readiness } from "../health/health.types.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { createStripeWebhook } from "./routes/stripe-webhook.ts";
import type { BodyReader } from "./body-reader.ts";

/** Dependencies of the routes. */
export interface RoutesDeps {
  readonly config: Config;
  readonly services: Services;
  readonly createContext: CreateContext;
  readonly clientAddress: (request: IncomingMessage) => string;
  readonly bodies: BodyReader;
  readonly assertSameSite: AssertSameSite;
  readonly rest: IRouter;
  readonly readiness: () => Promise<Readiness>;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Creates the Express app: everything that is not tRPC, in matching order. */
export function createRoutes(deps: RoutesDeps): Express {
  const app = createExpress();
  app.get("/health", (request, response) => {
    setRoute(request, "/health");
    // Liveness only: it checks nothing beyond this process.
    sendJson(response, 200, {
      success: true,
      message: "Skywork backend is alive.",
      timestamp: new Date().toISOString(),
    });
  });
  app.get("/ready", (request, response) => sendReadiness(deps, request, response));
  app.get("/metrics", (request, response) => sendMetrics(deps, request, response));
  for (const path of ["/health", "/ready", "/metrics"])
    app.all(path, named(path), (request, response) =>
      sendNotAllowed(request, response, "GET, HEAD"),
    );
  app.use(createDocs(publicBaseOf(deps.config.google.callbackUrl)));
  app.use("/api/payment/webhook", named("/api/payment/webhook"));
  app.post(
    "/api/payment/webhook",
    createStripeWebhook({ ...deps, payment: deps.services.payment }),
  );
  app.all("/api/payment/webhook", async (request, response) => {
    await countAnonymous(deps, request, response);
    sendNotAllowed(request, response, "POST");
  });
  // The callback's path lies below the start's, so both match it: the last name set wins.
  app.use("/api/auth/google", named("/api/auth/google"));
  app.use("/api/auth/google/callback", named("/api/auth/google/callback"));
  app.use(
    createGoogleRoutes({
      ...deps,
      auth: deps.services.auth,
      limit: async (request, response) => {
        const ctx = deps.createContext(request, response);
        await countCall(ctx, "signIn", ctx.request.ip);
      },
    }),
  );
  app.use(deps.rest);
  app.use("/api/", async (request, response, next) => {
    await countAnonymous(deps, request, response);
    next();
  });
  app.use((request, response) => {
    sendError(request, response, AppError.of("NOT_FOUND", "Not found."));
  });
  app.use(handleError);
  return app;
}

function createExpress(): Express {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("query parser", "simple");
  app.enable("case sensitive routing");
  return app;
}

async function countAnonymous(
  deps: RoutesDeps,
  request: Request,
  response: Response,
): Promise<void> {
  deps.assertSameSite(request);
  const ctx = deps.createContext(request, response);
  await countCall(ctx, "anonymous", ctx.request.ip);
}

/** Responds 405: the path exists, but supports only these methods. */
function sendNotAllowed(request: Request, response: Response, methods: string): void {
  response.setHeader("Allow", methods);
  sendError(request, response, { statusCode: 405 });
}

async function sendReadiness(
  deps: RoutesDeps,
  request: Request,
  response: Response,
): Promise<void> {
  setRoute(request, "/ready");
  const readiness = await deps.readiness();
  sendJson(response, readiness.ready ? 200 : 503, readiness);
}

async function sendMetrics(
  { metrics }: RoutesDeps,
  request: Request,
  response: Response,
): Promise<void> {
  setRoute(request, "/metrics");
  const answer = await metrics.render(request.headers.authorization);
  if (answer === "off") throw AppError.of("NOT_FOUND", "Not found.");
  if (answer === "refused")
    throw AppError.of("UNAUTHENTICATED", "Send Authorization: Bearer METRICS_TOKEN.");
  response.setHeader("Content-Type", answer.type);
  response.end(answer.text);
}

// Express recognizes an error handler by its four parameters.
function handleError(
  error: unknown,
  request: Request,
  response: Response,
  _next: NextFunction,
): void {
  // A malformed path is the caller's fault, whatever Express calls it.
  const known = error instanceof URIError ? { statusCode: 400 } : error;
  if (!response.headersSent) {
    sendError(request, response, known);
    return;
  }
  noteRefusal(recordOf(request).notes, toAppError(known));
  response.destroy();
}

function named(route: string) {
  return (request: Request, _response: Response, next: NextFunction): void => {
    setRoute(request, route);
    next();
  };
}
