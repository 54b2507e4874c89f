// The REST handlers: each calls the same procedure as tRPC, with the same middleware, and rewraps the result.
import type { ServerResponse } from "node:http";
import { callTRPCProcedure } from "@trpc/server";
import { type IRouter, type Request, Router } from "express";
import { appRouter } from "../../routers/app.ts";
import { isAsyncIterable } from "../../trpc/stream.ts";
import { countCall } from "../../trpc/limits.ts";
import type { CreateContext } from "../context.ts";
import { countRefused } from "../rate-limits.ts";
import { setRoute } from "../request-record.ts";
import { sendError, sendJson } from "../response.ts";
import { closeAfterUnreadBody } from "../unread-body.ts";
import type { BodyReader } from "../body-reader.ts";
import type { AssertSameSite } from "../cross-site.ts";
import { sendEvents, sendEmptyStream } from "./events.ts";
import { createInputReader, type InputReader } from "./input.ts";
import { REST_OPERATIONS, type RestOperation } from "./operations.ts";

/** The REST surface and its open streams. */
export interface Rest {
  readonly router: IRouter;
  /** Ends every stream cleanly, including any that begins later; clients reconnect elsewhere. */
  endStreams(): void;
}

/** The open streams, and whether streams have been ended. */
interface Streams {
  readonly open: Set<AbortController>;
  ended: boolean;
}

interface RestDeps {
  readonly createContext: CreateContext;
  readonly bodies: Pick<BodyReader, "text">;
  readonly assertSameSite: AssertSameSite;
}

/** Creates an Express router with every operation of REST_OPERATIONS. */
export function createRest(deps: RestDeps): Rest {
  const router = Router({ caseSensitive: true, strict: true });
  const streams: Streams = { open: new Set(), ended: false };
  const allowed = new Map<string, string[]>();
  for (const operation of REST_OPERATIONS) {
    const path = operation.path.replaceAll(/\{(\w+)\}/g, ":$1");
    allowed.set(path, [...(allowed.get(path) ?? []), operation.method]);
    const method = operation.method.toLowerCase() as Lowercase<RestOperation["method"]>;
    const readInput = createInputReader(operation, deps.bodies);
    router[method](path, async (request, response) => {
      setRoute(request, `${operation.method} ${operation.path}`);
      try {
        await answer({ operation, readInput, streams, deps }, request, response);
      } catch (error) {
        if (operation.method !== "GET") closeAfterUnreadBody(request, response);
        sendError(request, response, error);
      }
    });
  }
  for (const [path, methods] of allowed)
    router.all(path, async (request, response) => {
      deps.assertSameSite(request);
      const ctx = deps.createContext(request, response);
      await countCall(ctx, "anonymous", ctx.request.ip);
      response.setHeader("Allow", methods.join(", "));
      sendError(request, response, { statusCode: 405 });
    });
  return {
    router,
    endStreams() {
      streams.ended = true;
      for (const stream of streams.open) stream.abort();
    },
  };
}

interface Handling {
  readonly operation: RestOperation;
  readonly readInput: InputReader;
  readonly streams: Streams;
  readonly deps: RestDeps;
}

async function answer(
  { operation, readInput, streams, deps }: Handling,
  request: Request,
  response: ServerResponse,
): Promise<void> {
  deps.assertSameSite(request);
  const isStream = operation.type === "subscription";
  if (isStream && streams.ended) return sendEmptyStream(response);
  const abort = new AbortController();
  if (isStream) streams.open.add(abort);
  response.once("close", () => {
    streams.open.delete(abort);
    if (!response.writableEnded) abort.abort();
  });
  const input = await readInput(request, request.params).catch(async (error: unknown) => {
    throw await countRefused(deps.createContext(request, response), error);
  });
  const ctx = deps.createContext(request, response);
  const output: unknown = await callTRPCProcedure({
    router: appRouter,
    path: operation.procedure,
    getRawInput: () => Promise.resolve(input),
    ctx,
    type: operation.type,
    signal: abort.signal,
    batchIndex: 0,
  });
  if (!isAsyncIterable(output))
    return sendJson(response, 200, { success: true, ...(output as object) });
  try {
    await sendEvents(request, response, output, abort.signal);
  } finally {
    // The source may be waiting for its next event, and only this signal reports that nothing reads it any more.
    abort.abort();
  }
}
