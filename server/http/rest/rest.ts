// Owns the REST handlers: each calls the same procedure as tRPC does, with the same middleware, and rewraps the answer.
import type { IncomingMessage, ServerResponse } from "node:http";
import { callTRPCProcedure } from "@trpc/server";
import { type IRouter, Router } from "express";
import { AppError } from "../../lib/errors.ts";
import { appRouter } from "../../routers/app.ts";
import type { Context } from "../../trpc/context.ts";
import { countCall } from "../../trpc/limits.ts";
import { countRefused } from "../rate-limits.ts";
import { sendError, sendJson, setRoute } from "../response.ts";
import { isJson, parseJson } from "../body.ts";
import type { BodyReader } from "../body-reader.ts";
import type { RefuseCrossSite } from "../cross-site.ts";
import { REST_OPERATIONS, type RestOperation } from "./rest-table.ts";

/** An Express router with every operation of REST_OPERATIONS. */
export function createRest(deps: {
  createContext: (request: IncomingMessage, response: ServerResponse) => Context;
  bodies: Pick<BodyReader, "text">;
  refuseCrossSite: RefuseCrossSite;
}): IRouter {
  const router = Router({ caseSensitive: true, strict: true });
  const allowed = new Map<string, string[]>();
  for (const operation of REST_OPERATIONS) {
    allowed.set(operation.path, [...(allowed.get(operation.path) ?? []), operation.method]);
    const method = operation.method.toLowerCase() as "get" | "post" | "patch";
    router[method](operation.path, async (request, response) => {
      setRoute(request, `${operation.method} ${operation.path}`);
      try {
        deps.refuseCrossSite(request);
        const input = await readInput(operation, request, deps.bodies).catch(
          async (error: unknown) => {
            throw await countRefused(deps.createContext(request, response), error);
          },
        );
        await answer(operation, response, {
          input,
          ctx: deps.createContext(request, response),
        });
      } catch (error) {
        if (!request.readableEnded && operation.method !== "GET")
          response.setHeader("Connection", "close");
        sendError(request, response, error);
      }
    });
  }
  for (const [path, methods] of allowed)
    router.all(path, async (request, response) => {
      deps.refuseCrossSite(request);
      const ctx = deps.createContext(request, response);
      await countCall(ctx, "anonymous", ctx.request.ip);
      response.setHeader("Allow", methods.join(", "));
      sendError(request, response, { statusCode: 405 });
    });
  return router;
}

async function answer(
  operation: RestOperation,
  response: ServerResponse,
  { input, ctx }: { input: unknown; ctx: Context },
): Promise<void> {
  const abort = new AbortController();
  response.once("close", () => {
    if (!response.writableEnded) abort.abort();
  });
  const output: unknown = await callTRPCProcedure({
    router: appRouter,
    path: operation.procedure,
    getRawInput: () => Promise.resolve(input),
    ctx,
    type: operation.method === "GET" ? "query" : "mutation",
    signal: abort.signal,
    batchIndex: 0,
  });
  sendJson(response, 200, { success: true, ...(output as object) });
}

function readInput(
  operation: RestOperation,
  request: IncomingMessage,
  bodies: Pick<BodyReader, "text">,
): Promise<unknown> {
  if (operation.method !== "GET") return bodyInput(request, bodies);
  return Promise.resolve().then(() => queryInput(operation, request));
}

/** The query as the procedure's input: each name once, numbers where the contract has them. */
function queryInput(operation: RestOperation, request: IncomingMessage): unknown {
  const url = request.url ?? "";
  const start = url.indexOf("?");
  const entries = [...new URLSearchParams(start === -1 ? "" : url.slice(start + 1))];
  const input = new Map<string, unknown>();
  for (const [name, value] of entries) {
    if (input.has(name))
      throw AppError.of("VALIDATION_FAILED", `Give ${name.slice(0, 50)} only once.`, {
        fields: { [name.slice(0, 50)]: ["Give it only once."] },
      });
    const isNumber = operation.integers?.includes(name) && /^-?\d{1,15}$/.test(value);
    input.set(name, isNumber ? Number(value) : value);
  }
  return input.size === 0 ? undefined : Object.fromEntries(input);
}

/** The JSON body; none at all counts as no input. A body of another type is refused, whatever it holds. */
async function bodyInput(
  request: IncomingMessage,
  bodies: Pick<BodyReader, "text">,
): Promise<unknown> {
  const text = await bodies.text(request);
  if (text === "") return undefined;
  if (!isJson(request)) throw unsupportedType();
  return parseJson(text);
}

function unsupportedType(): unknown {
  return { statusCode: 415 };
}
