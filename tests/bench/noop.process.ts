// Owns the baseline of the HTTP rows: a bare procedure behind tRPC's own Express adapter, and nothing else at all.
import type { AddressInfo } from "node:net";
import { initTRPC } from "@trpc/server";
import { createExpressMiddleware } from "@trpc/server/adapters/express";
import express from "express";
import { serve } from "./serve.ts";

const t = initTRPC.create();
const router = t.router({ noop: t.procedure.mutation(() => ({ ok: true })) });
const app = express();
app.use("/api/trpc", createExpressMiddleware({ router }));
const server = app.listen(0, "127.0.0.1", () => serve((server.address() as AddressInfo).port));
