// The baseline of the HTTP rows: an empty procedure on tRPC's own Express adapter, behind what a production server
// usually has in front of it: helmet, cors, a log line, a token check, and a rate limit counted in Redis.
import { createServer } from "node:http";
import { initTRPC, TRPCError } from "@trpc/server";
import { createExpressMiddleware } from "@trpc/server/adapters/express";
import cors from "cors";
import express, { type RequestHandler } from "express";
import helmet from "helmet";
import { Redis } from "ioredis";
import { jwtVerify } from "jose";
import { pino } from "pino";
import { RateLimiterMemory, RateLimiterRedis } from "rate-limiter-flexible";
import { listen } from "../support/ports.ts";
import { serve } from "./serve.ts";

const { JWT_SECRET = "", REDIS_URL, BENCH_KEY_PREFIX = "bench" } = process.env;
const secret = new TextEncoder().encode(JWT_SECRET);
const limit = { points: 100_000_000, duration: 900 };
const limiter =
  REDIS_URL === undefined
    ? new RateLimiterMemory(limit)
    : new RateLimiterRedis({
        ...limit,
        storeClient: new Redis(REDIS_URL),
        keyPrefix: `${BENCH_KEY_PREFIX}:noop`,
      });
const logger = pino(pino.destination({ sync: false, minLength: 4_096 }));

const log: RequestHandler = (request, response, next) => {
  const startedAt = Date.now();
  const { method, path } = request;
  response.once("finish", () =>
    logger.info(
      { method, path, status: response.statusCode, ms: Date.now() - startedAt },
      "request",
    ),
  );
  next();
};

const t = initTRPC.context<{ userId: string }>().create();
const router = t.router({ noop: t.procedure.mutation(() => ({ ok: true })) });

const app = express()
  .use(helmet())
  .use(cors({ origin: ["https://bench.test"], credentials: true }))
  .use(log)
  .use(
    "/api/trpc",
    createExpressMiddleware({
      router,
      async createContext({ req }) {
        const token = req.headers.authorization?.replace("Bearer ", "") ?? "";
        const { payload } = await jwtVerify(token, secret, { algorithms: ["HS256"] });
        if (payload.sub === undefined) throw new TRPCError({ code: "UNAUTHORIZED" });
        await limiter.consume(payload.sub);
        return { userId: payload.sub };
      },
    }),
  );
serve(await listen(createServer(app)));
