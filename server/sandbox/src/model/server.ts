// The stand-in model over the wire: POST /v1/chat/completions as in OpenAI-compatible APIs, streamed at reading speed.
//
// Controls from another process: POST /_sandbox/misbehave {"fault":"cut","times":1,"afterChunks":5}, POST
// /_sandbox/speed {"tokensPerSecond":40}, POST /_sandbox/reset. A prompt cannot make it misbehave.
import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { closeServer, header, listen, readBody, targetOf } from "../http.ts";
import { MODEL_FAULTS, type ModelFault, type ModelFaultOrder } from "./misbehaviour.ts";
import { type WireMessage, writeAnswer, writeDeck } from "./writing.ts";

/** Options for starting the stand-in. */
export interface ModelSandboxOptions {
  /** 0 (default) = any free port. */
  port?: number;
  /** Defaults to loopback. */
  host?: string;
  /** Defaults to 60, about the speed of a fast reader. */
  tokensPerSecond?: number;
}

/** A running stand-in. */
export interface ModelSandbox {
  /** The value of AI_BASE_URL, `/v1` included. */
  url: string;
  port: number;
  models: { flash: string; pro: string };
  control: ModelControl;
  close(): Promise<void>;
}

/** The controls, for tests. */
export interface ModelControl {
  misbehave(order: ModelFaultOrder): void;
  /** Infinity = as fast as the connection allows. */
  setSpeed(tokensPerSecond: number): void;
  /** The number of completion requests so far. */
  readonly requests: number;
  /** The number of responses that were cut off before they ended, usually by the caller. */
  readonly cancelled: number;
  reset(): void;
}

const DEFAULT_TOKENS_PER_SECOND = 60;
const MODELS = { flash: "stand-in-flash", pro: "stand-in-pro" };

interface State {
  orders: { fault: ModelFault; left: number; afterChunks: number }[];
  tokensPerSecond: number;
  requests: number;
  cancelled: number;
}

/** Starts the stand-in. */
export async function startModelSandbox(options: ModelSandboxOptions = {}): Promise<ModelSandbox> {
  const speed = options.tokensPerSecond ?? DEFAULT_TOKENS_PER_SECOND;
  const state: State = { orders: [], tokensPerSecond: speed, requests: 0, cancelled: 0 };
  const control = createControl(state, speed);
  const host = options.host ?? "127.0.0.1";
  const { server, port } = await listen("Model sandbox", options.port ?? 0, host, (req, res) =>
    answer(state, control, req, res),
  );
  return {
    url: `http://${host}:${port}/v1`,
    port,
    models: MODELS,
    control,
    close: () => closeServer(server),
  };
}

function createControl(state: State, initialSpeed: number): ModelControl {
  return {
    misbehave({ fault, times = 1, afterChunks = 5 }) {
      state.orders.push({ fault, left: times, afterChunks });
    },
    setSpeed(tokensPerSecond) {
      state.tokensPerSecond = tokensPerSecond;
    },
    get requests() {
      return state.requests;
    },
    get cancelled() {
      return state.cancelled;
    },
    reset() {
      state.orders = [];
      state.tokensPerSecond = initialSpeed;
    },
  };
}

async function answer(
  state: State,
  control: ModelControl,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const { pathname } = targetOf(req);
  const route = `${req.method} ${pathname}`;
  if (route === "GET /v1/models") return sendModels(res);
  if (route === "POST /v1/chat/completions") return complete(state, req, res);
  if (pathname.startsWith("/_sandbox/") && req.method === "POST")
    return runCommand(control, pathname.slice("/_sandbox/".length), req, res);
  sendError(res, 404, "not_found", `No such route: ${route}`);
}

function sendModels(res: ServerResponse): void {
  const data = Object.values(MODELS).map((id) => ({ id, object: "model", owned_by: "sandbox" }));
  sendJson(res, 200, { object: "list", data });
}

async function runCommand(
  control: ModelControl,
  order: string,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  // A web page must not be able to command the sandbox through a browser.
  if (header(req, "origin") !== null) return sendError(res, 403, "forbidden", "Not from a page.");
  const body = (parse(await readBody(req)) ?? {}) as Record<string, unknown>;
  const fault = MODEL_FAULTS.find((one) => one === body["fault"]);
  if (order === "reset") control.reset();
  else if (order === "speed") control.setSpeed(Number(body["tokensPerSecond"]) || Infinity);
  else if (order === "misbehave" && fault !== undefined)
    control.misbehave({
      fault,
      times: Number(body["times"] ?? 1),
      afterChunks: Number(body["afterChunks"] ?? 5),
    });
  else return sendError(res, 400, "invalid_request_error", `Known faults: ${MODEL_FAULTS.join()}`);
  sendJson(res, 200, { ok: true });
}

interface CompletionRequest {
  model?: unknown;
  messages?: unknown;
  stream?: unknown;
  stream_options?: { include_usage?: unknown };
  response_format?: { type?: unknown };
}

async function complete(state: State, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const request = parse(await readBody(req)) as CompletionRequest | null;
  state.requests += 1;
  res.once("close", () => {
    if (!res.writableEnded) state.cancelled += 1;
  });
  const order = nextOrder(state);
  if (refuse(order?.fault, request, res)) return;
  const messages = (Array.isArray(request?.messages) ? request.messages : []) as WireMessage[];
  if (messages.length === 0)
    return sendError(res, 400, "invalid_request_error", "'messages' must be a list.");
  if (request?.stream !== true)
    return sendError(res, 400, "invalid_request_error", "The stand-in only streams.");
  if (typeof request.model !== "string" || request.model === "")
    return sendError(res, 400, "missing_required_parameter", "Name a model, any.");
  const wantsJson = request.response_format !== undefined || looksLikeDeck(messages);
  const text =
    wantsJson && order?.fault !== "notJson" ? writeDeck(messages) : writeAnswer(messages);
  await stream(state, res, {
    text: order?.fault === "refusal" ? "I am sorry, I cannot help with that." : text,
    refuses: order?.fault === "refusal",
    model: String(request.model),
    promptLength: JSON.stringify(messages).length,
    withUsage: request.stream_options?.include_usage === true,
    fault: order?.fault ?? null,
    afterChunks: order?.afterChunks ?? 5,
  });
}

/** Whether this is the server's prompt for decks, which asks for JSON even without a `response_format`. */
function looksLikeDeck(messages: WireMessage[]): boolean {
  const system = messages.find(({ role }) => role === "system")?.content;
  return typeof system === "string" && system.includes('"slides"');
}

function nextOrder(state: State): State["orders"][number] | undefined {
  const order = state.orders[0];
  if (order === undefined) return undefined;
  order.left -= 1;
  if (order.left <= 0) state.orders.shift();
  return order;
}

/** Applies faults that strike before any output. Returns true when the request was answered, or left hanging. */
function refuse(
  fault: ModelFault | undefined,
  request: CompletionRequest | null,
  res: ServerResponse,
): boolean {
  switch (fault) {
    case "rateLimit":
      res.setHeader("Retry-After", "20");
      sendError(res, 429, "rate_limit_exceeded", "Rate limit reached for requests.");
      return true;
    case "error":
      sendError(res, 500, "server_error", "The server had an error while processing your request.");
      return true;
    case "unauthorized":
      sendError(res, 401, "invalid_api_key", "Incorrect API key provided: sk-****.");
      return true;
    case "hang":
      return true;
    case "html":
      res.writeHead(200, { "Content-Type": "text/html" });
      res.end("<!doctype html><title>Gateway</title><p>Please sign in to the network.</p>");
      return true;
    case "noResponseFormat":
      if (request?.response_format === undefined) return false;
      sendError(res, 400, "invalid_request_error", "Unknown parameter: 'response_format'.");
      return true;
    default:
      return false;
  }
}

interface Answer {
  text: string;
  refuses: boolean;
  model: string;
  promptLength: number;
  withUsage: boolean;
  fault: ModelFault | null;
  afterChunks: number;
}

/** Streams the text in pieces of about a token, with a short pause after each. */
async function stream(state: State, res: ServerResponse, answering: Answer): Promise<void> {
  res.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
  const pieces = answering.text.match(/[\s\S]{1,4}/gu) ?? [];
  const head = {
    id: `chatcmpl-${state.requests}`,
    object: "chat.completion.chunk",
    created: Math.floor(Date.now() / 1000),
    model: answering.model,
  };
  const send = (fields: object) => write(res, { ...head, ...fields });
  await send({ choices: [choice({ role: "assistant", content: "" }, null)] });
  for (const [index, piece] of pieces.entries()) {
    if (res.destroyed) return;
    if (index === answering.afterChunks && applyMidStreamFault(answering.fault, res, send)) return;
    const delta = answering.refuses ? { refusal: piece } : { content: piece };
    await send({ choices: [choice(delta, null)] });
    if (Number.isFinite(state.tokensPerSecond)) await sleep(1000 / state.tokensPerSecond);
  }
  await send({ choices: [choice({}, "stop")] });
  if (answering.withUsage)
    await send({
      choices: [],
      usage: {
        prompt_tokens: Math.ceil(answering.promptLength / 4),
        completion_tokens: pieces.length,
        total_tokens: Math.ceil(answering.promptLength / 4) + pieces.length,
      },
    });
  res.end("data: [DONE]\n\n");
}

/** Applies faults that strike mid-stream. Returns true when nothing more should be sent. */
function applyMidStreamFault(
  fault: ModelFault | null,
  res: ServerResponse,
  send: (fields: object) => Promise<void>,
): boolean {
  switch (fault) {
    case "stall":
      return true;
    case "cut":
      res.destroy();
      return true;
    case "breakOff":
      res.end();
      return true;
    case "malformed":
      res.write('data: {"choices":[{"delta":{"content":\n\n');
      res.end();
      return true;
    case "errorInStream":
      void send({ error: { message: "Overloaded", type: "server_error", code: 503 } });
      res.end();
      return true;
    case "length":
      void send({ choices: [choice({}, "length")] });
      res.end("data: [DONE]\n\n");
      return true;
    case "contentFilter":
      void send({ choices: [choice({}, "content_filter")] });
      res.end("data: [DONE]\n\n");
      return true;
    default:
      return false;
  }
}

function choice(delta: object, finishReason: string | null): object {
  return { index: 0, delta, logprobs: null, finish_reason: finishReason };
}

/** Writes an event, waiting for a slow reader, so that unread output does not pile up in memory. */
async function write(res: ServerResponse, event: object): Promise<void> {
  if (res.destroyed || res.write(`data: ${JSON.stringify(event)}\n\n`)) return;
  await new Promise<void>((resolve) => {
    const resume = () => {
      res.off("drain", resume);
      res.off("close", resume);
      resolve();
    };
    res.once("drain", resume);
    res.once("close", resume);
  });
}

function parse(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "") as unknown;
  } catch {
    return null;
  }
}

function sendJson(res: ServerResponse, status: number, body: object): void {
  res.writeHead(status, { "Content-Type": "application/json" });
  res.end(JSON.stringify(body));
}

function sendError(res: ServerResponse, status: number, code: string, message: string): void {
  sendJson(res, status, { error: { message, type: code, param: null, code } });
}
