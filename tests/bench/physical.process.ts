// The least a call can cost on this machine, for reference: bare node:http, bare Express, and tRPC's own adapter alone.
import { createServer } from "node:http";
import { initTRPC } from "@trpc/server";
import { createExpressMiddleware } from "@trpc/server/adapters/express";
import express from "express";
import { listen } from "../support/ports.ts";
import { serve } from "./serve.ts";

const t = initTRPC.create();
const router = t.router({ noop: t.procedure.mutation(() => ({ ok: true })) });

const STACKS = {
  node: () =>
    createServer((request, response) => {
      let body = "";
      request.setEncoding("utf8");
      request.on("data", (chunk: string) => (body += chunk));
      request.on("end", () => {
        const answer = JSON.stringify(JSON.parse(body));
        response.writeHead(200, {
          "Content-Type": "application/json",
          "Content-Length": Buffer.byteLength(answer),
        });
        response.end(answer);
      });
    }),
  express: () =>
    createServer(
      express()
        .use(express.json())
        .post("/echo", (request, response) => void response.json(request.body)),
    ),
  trpc: () => createServer(express().use("/api/trpc", createExpressMiddleware({ router }))),
};

serve(await listen(STACKS[process.env["STACK"] as keyof typeof STACKS]()));
