// The lean path: answers an ordinary call or batch with a direct call of the procedure, in tRPC's own wire format.
// docs/decisions/0010-lean-trpc-path.md says why it is there; tests/integration/http/lean-path compares its answers with
// those of the stock handler byte for byte.
import type { IncomingMessage, ServerResponse } from "node:http";
import { getTRPCErrorFromUnknown, getTRPCErrorShape, TRPCError } from "@trpc/server";
import { getHTTPStatusCode } from "@trpc/server/http";
import type { Context } from "../../trpc/context.ts";
import { MAX_BATCH_SIZE, type Procedure, procedures, routerConfig } from "./procedures.ts";

/** One request the lean path can take. */
export interface LeanCall {
  readonly paths: readonly string[];
  readonly calls: readonly Procedure[];
  readonly batch: boolean;
  readonly type: "query" | "mutation";
  readonly inputText: string;
}

/** What was asked, taken apart. */
export interface TrpcRequest {
  /** The names of the procedures, comma-separated in a batch. */
  readonly path: string;
  readonly search: URLSearchParams;
  readonly body: string;
}

/** Returns the call when it is one of the ordinary kind; null leaves it to the stock handler and its words of refusal. */
export function toLeanCall(
  { method, headers }: Pick<IncomingMessage, "method" | "headers">,
  { path, search, body }: TrpcRequest,
): LeanCall | null {
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

/** Runs the call's procedures side by side in one context and writes the answer. Never throws. */
export async function answerLeanCall(
  call: LeanCall,
  ctx: Context,
  response: ServerResponse,
): Promise<void> {
  const abort = new AbortController();
  response.once("close", () => {
    if (!response.writableEnded) abort.abort();
  });
  const readInput = createInputReader(call);
  const results = await Promise.all(
    call.calls.map((_procedure, index) => callOne({ call, ctx, abort, readInput }, index)),
  );
  const bodies = results.map(({ body }) => body);
  const errors = results.map(({ error }) => error);
  const status = getHTTPStatusCode(bodies, errors);
  sendTrpc(response, status, call.batch ? bodies : bodies[0]);
}

/** The input of each call, parsed once for the whole batch and only when a procedure asks for it. */
function createInputReader({ batch, inputText }: LeanCall) {
  let inputs: unknown;
  return async (index: number): Promise<unknown> => {
    if (inputText !== "") inputs ??= parseInput(inputText);
    if (!batch || inputs === undefined) return inputs;
    if (typeof inputs !== "object" || inputs === null || Array.isArray(inputs))
      throw new TRPCError({ code: "BAD_REQUEST", message: "A batch's input is an object." });
    return Object.getOwnPropertyDescriptor(inputs, String(index))?.value;
  };
}

/** Everything the calls of one batch share. */
interface LeanRun {
  readonly call: LeanCall;
  readonly ctx: Context;
  readonly abort: AbortController;
  readonly readInput: (index: number) => Promise<unknown>;
}

async function callOne({ call, ctx, abort, readInput }: LeanRun, index: number) {
  const path = call.paths[index] ?? "";
  const { type } = call;
  try {
    const data: unknown = await call.calls[index]?.({
      path,
      getRawInput: () => readInput(index),
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
    return { body: { result: { data } }, error: undefined };
  } catch (cause) {
    const error = getTRPCErrorFromUnknown(cause);
    const shape = getTRPCErrorShape({
      ...{ config: routerConfig, error, type, path, input: undefined, ctx },
    });
    return { body: { error: shape }, error };
  }
}

function parseInput(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch (cause) {
    throw new TRPCError({ code: "BAD_REQUEST", cause });
  }
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

/** Writes a JSON answer with the headers of tRPC's own handler; nothing when one was begun or the client is gone. */
export function sendTrpc(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent || response.destroyed) return;
  const text = JSON.stringify(body);
  response.statusCode = status;
  response.appendHeader("Vary", "trpc-accept, accept");
  response.setHeader("Content-Type", "application/json");
  response.setHeader("Content-Length", Buffer.byteLength(text));
  response.end(text);
}
