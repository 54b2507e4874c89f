// Owns /api/trpc: a lean path for ordinary calls, and tRPC's own handler for everything else, with the same wire format.
// Why two: the stock handler builds web streams for every call and costs four times the CPU of the call itself
// (docs/decisions/0010-lean-trpc-path.md). tests/integration/http/lean-path compares their answers byte for byte.
import type { IncomingMessage, ServerResponse } from "node:http";
import { getTRPCErrorFromUnknown, getTRPCErrorShape, TRPCError } from "@trpc/server";
import { nodeHTTPRequestHandler } from "@trpc/server/adapters/node-http";
import { getHTTPStatusCode } from "@trpc/server/http";
import { AppError, isAppError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import { appRouter } from "../routers/app.ts";
import type { Context } from "../trpc/context.ts";
import { countCall } from "../trpc/limits.ts";
import { countRefused } from "./rate-limits.ts";
import { asTrpcError, toAppError } from "../trpc/trpc.ts";
import { requestIdOf, setRoute } from "./response.ts";
import type { RefuseCrossSite } from "./cross-site.ts";
import { isJson, MAX_JSON_BYTES, refuseHostile } from "./body.ts";
import type { BodyReader } from "./body-reader.ts";
import { pathOf } from "./middleware.ts";

/** Where the router is mounted. */
export const TRPC_PREFIX = "/api/trpc/";

/** Most calls in one batch. */
export const MAX_BATCH_SIZE = 10;

/** `/api/trpc` and its open streams. */
export interface TrpcHandler {
  /** Answers one request under TRPC_PREFIX. Never throws. */
  handle(request: IncomingMessage, response: ServerResponse): void;
  /** Ends every subscription in good order; clients connect again, elsewhere. */
  endStreams(): void;
}

/** A procedure as tRPC's own adapters see it. */
interface Procedure {
  readonly _def: { readonly type: "query" | "mutation" | "subscription" };
  (call: {
    path: string;
    getRawInput: () => Promise<unknown>;
    ctx: Context;
    type: "query" | "mutation";
    signal: AbortSignal;
    batchIndex: number;
  }): Promise<unknown>;
}

// The types show the routers nested; at run time the names are flat: `credit.spend`.
const procedures: ReadonlyMap<string, Procedure> = new Map(
  Object.entries(appRouter._def.procedures as unknown as Record<string, Procedure>),
);
const config = appRouter._def._config;

/** One request the lean path can take. */
interface LeanCall {
  readonly paths: readonly string[];
  readonly calls: readonly Procedure[];
  readonly batch: boolean;
  readonly type: "query" | "mutation";
  readonly inputText: string;
}

/** Makes the handler. `createContext` is called once per request, so a batch shares its context. */
export function createTrpcHandler(deps: {
  createContext: (request: IncomingMessage, response: ServerResponse) => Context;
  bodies: Pick<BodyReader, "text">;
  refuseCrossSite: RefuseCrossSite;
  logger: Logger;
  /** Tests turn the lean path off to compare. */
  lean?: boolean;
}): TrpcHandler {
  const streams = new Set<IncomingMessage>();

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = pathOf(request.url).slice(TRPC_PREFIX.length);
    const query = (request.url ?? "").slice(TRPC_PREFIX.length + path.length + 1);
    nameRoute(request, path);
    deps.refuseCrossSite(request);
    let body = "";
    if (request.method === "POST") {
      // Only this type makes a browser ask before sending it across sites; forms and files have no use here.
      if (!isJson(request)) throw new TRPCError({ code: "UNSUPPORTED_MEDIA_TYPE" });
      body = await deps.bodies.text(request);
      refuseHostile(body);
    }
    const search = new URLSearchParams(query);
    refuseHostile(search.get("input") ?? "");
    const call = deps.lean === false ? null : leanCall(request, path, search, body);
    if (call) return lean(request, response, call);
    await countUnknown(request, response, { path, batch: search.get("batch") === "1" });
    await stock(request, response, path, body);
  }

  async function lean(
    request: IncomingMessage,
    response: ServerResponse,
    { paths, calls, batch, type, inputText }: LeanCall,
  ): Promise<void> {
    const ctx = deps.createContext(request, response);
    const abort = new AbortController();
    response.once("close", () => {
      if (!response.writableEnded) abort.abort();
    });
    let inputs: unknown;
    const getRawInput = async (index: number): Promise<unknown> => {
      if (inputText !== "") inputs ??= parse(inputText);
      if (!batch || inputs === undefined) return inputs;
      if (typeof inputs !== "object" || inputs === null || Array.isArray(inputs))
        throw new TRPCError({ code: "BAD_REQUEST", message: "A batch's input is an object." });
      return Object.getOwnPropertyDescriptor(inputs, String(index))?.value;
    };
    const errors: (TRPCError | undefined)[] = [];
    const results = await Promise.all(
      calls.map(async (procedure, index) => {
        const path = paths[index] ?? "";
        try {
          const data: unknown = await procedure({
            path,
            getRawInput: () => getRawInput(index),
            ctx,
            type,
            signal: abort.signal,
            batchIndex: index,
          });
          if (isStream(data)) {
            // Nobody will ever read it: its procedure has to hear so.
            abort.abort();
            throw new TRPCError({ code: "UNSUPPORTED_MEDIA_TYPE" });
          }
          return { result: { data } };
        } catch (cause) {
          const error = getTRPCErrorFromUnknown(cause);
          errors[index] = error;
          return {
            error: getTRPCErrorShape({ config, error, type, path, input: undefined, ctx }),
          };
        }
      }),
    );
    send(response, getHTTPStatusCode(results, errors), batch ? results : results[0]);
  }

  async function stock(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    body: string,
  ): Promise<void> {
    if (request.method === "GET" && procedures.get(path)?._def.type === "subscription") {
      streams.add(request);
      response.once("close", () => streams.delete(request));
    }
    if (request.method === "POST") Object.assign(request, { body });
    await nodeHTTPRequestHandler({
      req: request,
      res: response,
      path,
      router: appRouter,
      maxBatchSize: MAX_BATCH_SIZE,
      maxBodySize: MAX_JSON_BYTES,
      createContext: () => deps.createContext(request, response),
      // The handler overwrites these two headers of the edge's; said again here they stand beside its own.
      responseMeta: () => ({
        headers: new Headers([
          ["vary", "Origin"],
          ["cache-control", "no-store"],
        ]),
      }),
      onError: ({ error, path: failed }) => {
        if (error.code === "INTERNAL_SERVER_ERROR" && !isAppError(error.cause))
          deps.logger.error({ err: error, path: failed?.slice(0, 100) }, "call failed");
      },
    });
  }

  /** Procedures count their own calls; a call of one that does not exist, or not by this method, counts here. */
  async function countUnknown(
    request: IncomingMessage,
    response: ServerResponse,
    { path, batch }: { path: string; batch: boolean },
  ): Promise<void> {
    const names = batch ? path.split(",", MAX_BATCH_SIZE) : [path];
    const unknown = names.filter((name) => !isCallable(request.method, procedures.get(name)));
    const ctx = deps.createContext(request, response);
    for (const _name of unknown) await countCall(ctx, "anonymous", ctx.request.ip);
  }

  return {
    handle(request, response) {
      answer(request, response).catch(async (refused: unknown) => {
        const cause = await countRefused(deps.createContext(request, response), refused);
        const error = getTRPCErrorFromUnknown(cause);
        if (error.code === "INTERNAL_SERVER_ERROR" && !isAppError(cause))
          deps.logger.error({ err: cause }, "tRPC request failed");
        refuse(request, response, error);
      });
    },
    endStreams() {
      // The stock handler ends a stream cleanly, chunk by chunk, when its request says that the client left.
      for (const request of streams) request.emit("aborted");
    },
  };
}

function isCallable(method: string | undefined, procedure: Procedure | undefined): boolean {
  if (procedure === undefined) return false;
  return (procedure._def.type === "mutation") === (method === "POST");
}

/** The call, when it is one of the ordinary kind; null leaves it to the stock handler and its words of refusal. */
function leanCall(
  request: IncomingMessage,
  path: string,
  search: URLSearchParams,
  body: string,
): LeanCall | null {
  const { method, headers } = request;
  if (method !== "GET" && method !== "POST") return null;
  if (headers["trpc-accept"] !== undefined) return null;
  if (headers.accept?.includes("jsonl")) return null;
  for (const name of search.keys()) if (name !== "batch" && name !== "input") return null;
  const batch = search.get("batch") === "1";
  const inputText = method === "GET" ? (search.get("input") ?? "") : body;
  const type = method === "GET" ? "query" : "mutation";
  const paths = batch ? path.split(",") : [path];
  if (paths.length > MAX_BATCH_SIZE) return null;
  const calls: Procedure[] = [];
  for (const name of paths) {
    const procedure = procedures.get(name);
    if (procedure?._def.type !== type) return null;
    calls.push(procedure);
  }
  return { paths, calls, batch, type, inputText };
}

function parse(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch (cause) {
    throw new TRPCError({ code: "BAD_REQUEST", cause });
  }
}

/** Names the procedure for the metrics; a caller's own words never become a label. */
function nameRoute(request: IncomingMessage, path: string): void {
  if (procedures.has(path)) setRoute(request, `trpc ${path}`);
  else setRoute(request, path.includes(",") ? "trpc batch" : "trpc other");
}

function isStream(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Symbol.asyncIterator in value) return true;
  return Object.values(value).some(
    (inner) =>
      inner instanceof Promise ||
      (typeof inner === "object" && inner !== null && Symbol.asyncIterator in inner),
  );
}

function send(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent || response.destroyed) return;
  const text = JSON.stringify(body);
  response.statusCode = status;
  response.appendHeader("Vary", "trpc-accept, accept");
  response.setHeader("Content-Type", "application/json");
  response.setHeader("Content-Length", Buffer.byteLength(text));
  response.end(text);
}

/** A refusal before any procedure was reached, in tRPC's shape. */
function refuse(request: IncomingMessage, response: ServerResponse, error: TRPCError): void {
  // What is left of an unread body would be taken for the next request.
  if (!request.readableEnded) response.setHeader("Connection", "close");
  const { retryAfterSeconds } = toAppError(error).details;
  if (typeof retryAfterSeconds === "number" && !response.headersSent)
    response.setHeader("Retry-After", String(retryAfterSeconds));
  const wrapped =
    error.code === "UNSUPPORTED_MEDIA_TYPE"
      ? new TRPCError({
          code: "UNSUPPORTED_MEDIA_TYPE",
          cause: AppError.of("VALIDATION_FAILED", "Send application/json in UTF-8, uncompressed.", {
            fields: {},
          }),
        })
      : asTrpcError(toAppError(error));
  const shape = getTRPCErrorShape({
    config,
    error: wrapped,
    type: "unknown",
    path: undefined,
    input: undefined,
    ctx: undefined,
  });
  // No procedure, hence no context, was reached to say which request this is.
  const app = { ...shape.data.app, requestId: requestIdOf(request) };
  send(response, shape.data.httpStatus, { error: { ...shape, data: { ...shape.data, app } } });
}
