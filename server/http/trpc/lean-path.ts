// The lean path: answers an ordinary call or batch with a direct call of the procedure, in tRPC's own wire format.
// See docs/decisions/0021-lean-trpc-path.md for why it exists; tests/integration/http/lean-path compares its responses
// with those of tRPC's own handler byte for byte.
import type { IncomingMessage, ServerResponse } from "node:http";
import { getTRPCErrorFromUnknown, getTRPCErrorShape, TRPCError } from "@trpc/server";
import { getHTTPStatusCode } from "@trpc/server/http";
import { MAX_BATCH_SIZE } from "../../trpc/limits.ts";
import type { Context } from "../../trpc/context.ts";
import { isAsyncIterable } from "../../trpc/stream.ts";
import type { ResponseHeaders } from "../response-headers.ts";
import {
  type MiddlewareChange,
  type MiddlewareInput,
  type MiddlewareResult,
  type Procedure,
  procedures,
  routerConfig,
} from "./procedures.ts";

/** A request that the lean path can handle. */
export interface LeanCall {
  readonly paths: readonly string[];
  readonly calls: readonly Procedure[];
  readonly batch: boolean;
  readonly type: "query" | "mutation";
  readonly inputText: string;
}

/** A parsed request. */
export interface TrpcRequest {
  /** The names of the procedures, comma-separated in a batch. */
  readonly path: string;
  readonly search: URLSearchParams;
  readonly body: string;
}

/** Returns the call if it is an ordinary one; null leaves it, and any refusal, to tRPC's own handler. */
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

/** Runs the call's procedures concurrently in one context and writes the response. Never throws. */
export async function answerLeanCall(
  call: LeanCall,
  ctx: Context,
  headers: ResponseHeaders,
): Promise<void> {
  const abort = createLazyAbort(headers.response);
  const run = { call, ctx, readInput: createInputReader(call), abort };
  const results = await Promise.all(call.calls.map((_procedure, index) => callOne(run, index)));
  const bodies = results.map(({ body }) => body);
  const errors = results.map(({ error }) => error);
  const status = getHTTPStatusCode(bodies, errors);
  headers.sendTrpc(status, call.batch ? bodies : bodies[0]);
}

/** Returns the reader of each call's input, parsed once for the whole batch and only when a procedure asks for it. */
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

/** Aborts when the client leaves. The controller is created on demand, because few procedures use it. */
function createLazyAbort(response: ServerResponse): () => AbortController {
  let made: AbortController | undefined;
  return () => {
    if (made !== undefined) return made;
    const abort = new AbortController();
    made = abort;
    const onClose = () => {
      if (!response.writableEnded) abort.abort();
    };
    if (response.destroyed) onClose();
    else response.once("close", onClose);
    return abort;
  };
}

/** Everything the calls of one batch share. */
interface LeanRun {
  readonly call: LeanCall;
  readonly ctx: Context;
  readonly readInput: (index: number) => Promise<unknown>;
  readonly abort: () => AbortController;
}

async function callOne(run: LeanRun, index: number) {
  const { call, ctx } = run;
  const { type } = call;
  const path = call.paths[index] ?? "";
  try {
    return { body: { result: { data: await callProcedure(run, index) } }, error: undefined };
  } catch (cause) {
    const error = getTRPCErrorFromUnknown(cause);
    const shape = getTRPCErrorShape({
      ...{ config: routerConfig, error, type, path, input: undefined, ctx },
    });
    return { body: { error: shape }, error };
  }
}

async function callProcedure(run: LeanRun, index: number): Promise<unknown> {
  const procedure = run.call.calls[index];
  if (procedure === undefined) throw new TypeError("A call without its procedure");
  const call = { run, index, procedure };
  const getRawInput = () => run.readInput(index);
  const result = await new Link(call, 0, { ctx: run.ctx, input: undefined, getRawInput }).run();
  if (!result.ok) throw result.error;
  if (!isStream(result.data)) return result.data;
  // Nothing will ever read the stream, so its procedure is aborted.
  run.abort().abort();
  throw new TRPCError({ code: "UNSUPPORTED_MEDIA_TYPE" });
}

/** One procedure of a run. */
interface ProcedureCall {
  readonly run: LeanRun;
  readonly index: number;
  readonly procedure: Procedure;
}

/**
 * One link of the middleware chain that a procedure is, and also what that middleware receives. tRPC's own caller
 * copies everything in it twice at every link, property by property, which is a seventh of the CPU of a spend. Here
 * `next` creates the link after this one.
 */
class Link implements MiddlewareInput {
  readonly ctx: Context;
  readonly input: unknown;
  readonly getRawInput: () => Promise<unknown>;
  private readonly call: ProcedureCall;
  private readonly position: number;

  constructor(call: ProcedureCall, position: number, given: Required<MiddlewareChange>) {
    this.call = call;
    this.position = position;
    this.ctx = given.ctx as Context;
    this.input = given.input;
    this.getRawInput = given.getRawInput;
  }

  get path(): string {
    return this.call.run.call.paths[this.call.index] ?? "";
  }

  get type() {
    return this.call.run.call.type;
  }

  get meta(): unknown {
    return this.call.procedure._def.meta;
  }

  get batchIndex(): number {
    return this.call.index;
  }

  get signal(): AbortSignal {
    return this.call.run.abort().signal;
  }

  readonly next = (changed?: MiddlewareChange): Promise<MiddlewareResult> => {
    const { ctx, input, getRawInput } = this;
    const given = {
      ctx: changed?.ctx === undefined ? ctx : { ...ctx, ...changed.ctx },
      input: changed !== undefined && "input" in changed ? changed.input : input,
      getRawInput: changed?.getRawInput ?? getRawInput,
    };
    return new Link(this.call, this.position + 1, given).run();
  };

  /** Never rejects: whatever is thrown by this link or further down becomes a result that is not ok. */
  async run(): Promise<MiddlewareResult> {
    try {
      const middleware = this.call.procedure._def.middlewares[this.position];
      if (middleware === undefined) throw new TypeError("A procedure without its resolver");
      return await middleware(this);
    } catch (cause) {
      return { ok: false, error: getTRPCErrorFromUnknown(cause) };
    }
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
  if (isAsyncIterable(value)) return true;
  return Object.values(value).some((inner) => inner instanceof Promise || isAsyncIterable(inner));
}
