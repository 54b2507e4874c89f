// /api/trpc: a lean path for ordinary calls, and tRPC's own handler for everything else, with the same wire format.
// Both exist because tRPC's own handler builds web streams for every call and costs four times the CPU of the call
// itself (docs/decisions/0021-lean-trpc-path.md).
import type { IncomingMessage } from "node:http";
import { getTRPCErrorFromUnknown, getTRPCErrorShape, TRPCError } from "@trpc/server";
import { nodeHTTPRequestHandler } from "@trpc/server/adapters/node-http";
import { ERROR_CODES, type ErrorCode } from "../../../shared/src/errors.ts";
import { AppError } from "../../lib/errors.ts";
import { appRouter } from "../../routers/app.ts";
import type { Context } from "../../trpc/context.ts";
import { countCall, MAX_BATCH_SIZE } from "../../trpc/limits.ts";
import { noteRefusal } from "../../trpc/notes.ts";
import { asTrpcError, toAppError } from "../../trpc/trpc.ts";
import type { ResponseHeaders } from "../response-headers.ts";
import { assertSafeJson, isJson, malformed, MAX_JSON_BYTES } from "../body.ts";
import type { BodyReader } from "../body-reader.ts";
import type { CreateContext } from "../context.ts";
import type { AssertSameSite } from "../cross-site.ts";
import { pathOf, TRPC_PREFIX } from "../path.ts";
import { countRefused } from "../rate-limits.ts";
import { recordOf, setRoute } from "../request-record.ts";
import { sendEmptyStream } from "../rest/events.ts";
import { closeAfterUnreadBody } from "../unread-body.ts";
import { answerLeanCall, toLeanCall, type TrpcRequest } from "./lean-path.ts";
import { procedures, routerConfig } from "./procedures.ts";
import { isStreamed, unreachedNames } from "./stock-call.ts";

/** `/api/trpc` and its open streams. */
export interface TrpcHandler {
  /** Answers one request under TRPC_PREFIX. Never throws. */
  handle(request: IncomingMessage, headers: ResponseHeaders): void;
  /** Ends every subscription cleanly, including any that begins later; clients reconnect elsewhere. */
  endStreams(): void;
}

/** The open subscriptions, and whether streams have been ended. */
interface Streams {
  readonly open: Set<IncomingMessage>;
  ended: boolean;
}

/** Dependencies of the handler. */
export interface TrpcHandlerDeps {
  /** Makes the context that all calls of a batch share. */
  readonly createContext: CreateContext;
  readonly bodies: Pick<BodyReader, "text">;
  readonly assertSameSite: AssertSameSite;
  /** False turns the lean path off. */
  readonly lean: boolean;
}

/** One request and its response in the making. */
interface Exchange {
  readonly request: IncomingMessage;
  readonly headers: ResponseHeaders;
}

/** Creates the handler; its only state is the open streams. */
export function createTrpcHandler(deps: TrpcHandlerDeps): TrpcHandler {
  const streams: Streams = { open: new Set(), ended: false };
  return {
    handle(request, headers) {
      const exchange = { request, headers };
      answer(deps, streams, exchange).catch((cause: unknown) => refuse(deps, exchange, cause));
    },
    endStreams() {
      streams.ended = true;
      // tRPC's own handler ends a stream cleanly when its request reports that the client has left.
      for (const request of streams.open) request.emit("aborted");
    },
  };
}

async function answer(deps: TrpcHandlerDeps, streams: Streams, exchange: Exchange): Promise<void> {
  const { request, headers } = exchange;
  const asked = await readRequest(deps, request);
  const call = deps.lean ? toLeanCall(request, asked) : null;
  if (call) return answerLeanCall(call, deps.createContext(request, headers), headers);
  const ctx = deps.createContext(request, headers);
  await countUnreached(ctx, unreachedNames(request, asked));
  // The client left while its refused calls were counted: a response that has closed never says so again.
  if (headers.response.destroyed) return;
  assertKeepsCookie(ctx, request, asked);
  if (request.method === "GET" && procedures.get(asked.path)?._def.type === "subscription") {
    if (streams.ended) {
      headers.handOver();
      return sendEmptyStream(headers.response);
    }
    streams.open.add(request);
    headers.response.once("close", () => streams.open.delete(request));
  }
  await handleWithTrpc(deps, exchange, asked);
}

const NOTHING_ASKED = new URLSearchParams();

/** Parses the request. Throws the refusals that apply whatever procedure it names. */
async function readRequest(deps: TrpcHandlerDeps, request: IncomingMessage): Promise<TrpcRequest> {
  const written = writtenPath(request);
  const query = (request.url ?? "").slice(TRPC_PREFIX.length + written.length + 1);
  const path = decodePath(written);
  nameRoute(request, path);
  deps.assertSameSite(request);
  let body = "";
  if (request.method === "POST") {
    // Only JSON makes a browser send a preflight across sites; forms and files have no use here.
    if (!isJson(request)) throw new TRPCError({ code: "UNSUPPORTED_MEDIA_TYPE" });
    body = await deps.bodies.text(request);
    assertSafeJson(body);
  }
  const search = query === "" ? NOTHING_ASKED : new URLSearchParams(query);
  if (search.size > 0) assertSafeJson(search.get("input") ?? "");
  return { path, search, body };
}

function writtenPath({ url }: IncomingMessage): string {
  return pathOf(url).slice(TRPC_PREFIX.length);
}

/** Decodes the path as tRPC does, or a client could hide calls from our limits: `a%2Cb` is two names. */
function decodePath(written: string): string {
  try {
    return decodeURIComponent(written);
  } catch {
    // tRPC refuses it and states the reason.
    return written;
  }
}

/** Sets the route's name for the metrics; the caller's own text never becomes a label. */
function nameRoute(request: IncomingMessage, path: string): void {
  if (procedures.has(path)) setRoute(request, `trpc ${path}`);
  else setRoute(request, path.includes(",") ? "trpc batch" : "trpc other");
}

/** Counts the calls that reach no procedure; procedures count their own. */
async function countUnreached(ctx: Context, names: readonly string[]): Promise<void> {
  for (const _name of names) await countCall(ctx, "anonymous", ctx.request.ip);
}

/** Refuses a streamed batch that may set a cookie: the cookie would be lost, and with the next refresh the sign-in. */
function assertKeepsCookie(
  { request: { refreshCookies } }: Context,
  request: IncomingMessage,
  { path }: TrpcRequest,
): void {
  if (refreshCookies.length === 0 || !isStreamed(request)) return;
  const name = path.split(",").find((called) => procedures.get(called)?._def.meta?.setsCookie);
  if (name !== undefined)
    throw malformed(`A streamed batch sets no cookie: call ${name} without application/jsonl.`);
}

/** Passes the request to tRPC's own handler: subscriptions, streamed batches, and errors for malformed calls. */
async function handleWithTrpc(
  deps: TrpcHandlerDeps,
  { request, headers }: Exchange,
  { body }: TrpcRequest,
): Promise<void> {
  headers.handOver();
  // As on the lean path, the Host header is ignored, and so is the Content-Type of a GET, which has no body.
  request.headers.host = "localhost";
  if (request.method === "POST") Object.assign(request, { body });
  else if (request.method === "GET") delete request.headers["content-type"];
  await nodeHTTPRequestHandler({
    req: request,
    res: headers.response,
    path: writtenPath(request),
    router: appRouter,
    maxBatchSize: MAX_BATCH_SIZE,
    maxBodySize: MAX_JSON_BYTES,
    createContext: () => deps.createContext(request, headers),
    // The handler overwrites these two headers of the middleware's; repeated here, they are kept beside its own.
    responseMeta: ({ ctx, type }) => ({
      ...(type === "subscription" && ctx?.notes.code
        ? { status: streamRefusal(request, ctx.notes.code) }
        : {}),
      headers: new Headers([
        ["vary", "Origin"],
        ["cache-control", "no-store"],
      ]),
    }),
    // Errors that no procedure has noted, and those that break a stream.
    onError: ({ error }) => noteRefusal(recordOf(request).notes, toAppError(error)),
  });
}

/** Returns the status of a refused stream: 405 unless the method is GET, else that of the code. */
function streamRefusal({ method }: IncomingMessage, code: ErrorCode): number {
  return method === "GET" ? ERROR_CODES[code].httpStatus : 405;
}

/** Counts and answers a request that was refused before it reached any procedure. */
async function refuse(
  deps: TrpcHandlerDeps,
  { request, headers }: Exchange,
  refused: unknown,
): Promise<void> {
  const cause = await countRefused(deps.createContext(request, headers), refused);
  sendRefusal(request, headers, getTRPCErrorFromUnknown(cause));
}

/** Writes the refusal in tRPC's shape. */
function sendRefusal(request: IncomingMessage, headers: ResponseHeaders, error: TRPCError): void {
  const { requestId, notes } = recordOf(request);
  const appError = toAppError(error);
  noteRefusal(notes, appError);
  if (headers.headersSent) return;
  closeAfterUnreadBody(request, headers);
  const { retryAfterSeconds } = appError.details;
  if (typeof retryAfterSeconds === "number")
    headers.setHeader("Retry-After", String(retryAfterSeconds));
  const wrapped =
    error.code === "UNSUPPORTED_MEDIA_TYPE"
      ? new TRPCError({
          code: "UNSUPPORTED_MEDIA_TYPE",
          cause: AppError.of("VALIDATION_FAILED", "Send application/json in UTF-8, uncompressed.", {
            fields: {},
          }),
        })
      : asTrpcError(appError);
  const shape = getTRPCErrorShape({
    config: routerConfig,
    error: wrapped,
    type: "unknown",
    path: undefined,
    input: undefined,
    ctx: undefined,
  });
  // No procedure was reached, so no context has supplied the request's id.
  const app = { ...shape.data.app, requestId };
  headers.sendTrpc(shape.data.httpStatus, { error: { ...shape, data: { ...shape.data, app } } });
}
