// The model provider: any OpenAI-compatible API, via the `openai` client (docs/decisions/0060), imported only here.
import OpenAI, { APIConnectionError, APIError } from "openai";
import type { ModelPart, ModelPort, ModelRequest } from "../ai/ports.ts";
import { AppError, isAppError } from "../lib/errors.ts";

/** How to reach the provider. */
export interface ModelAdapterOptions {
  /** Including `/v1`; `/chat/completions` is appended. */
  readonly baseUrl: string;
  /** Null for providers that need none (Ollama, vLLM). */
  readonly apiKey: string | null;
}

/** The largest value an INT column holds. */
const MAX_COUNT = 2_147_483_647;

type Chunk = OpenAI.Chat.Completions.ChatCompletionChunk;
type Format = OpenAI.Chat.Completions.ChatCompletionCreateParamsStreaming["response_format"];

/** Returns the provider as a ModelPort. An accepted call is never repeated: it could be generated and billed twice. */
export function createModelAdapter(options: ModelAdapterOptions): ModelPort {
  return { stream: (request) => streamAnswer(options, request) };
}

async function* streamAnswer(
  options: ModelAdapterOptions,
  request: ModelRequest,
): AsyncGenerator<ModelPart, void, void> {
  const watch = watchForSilence(request.silenceMs);
  const over = new AbortController();
  const signal = AbortSignal.any([request.signal, watch.signal, over.signal]);
  const client = new OpenAI({
    baseURL: options.baseUrl,
    apiKey: options.apiKey ?? "none",
    maxRetries: 0,
    timeout: request.silenceMs,
    logLevel: "off",
    fetch: observeFetch(watch.onBytes),
  });
  let isComplete = false;
  try {
    const chunks = await ask(client, request, signal);
    for await (const chunk of chunks) {
      const choice = chunk.choices?.[0];
      if (choice?.finish_reason === "content_filter") throw refused();
      if (choice?.finish_reason) isComplete = true;
      yield* partsOf(chunk);
    }
  } catch (error) {
    throw providerError(error, watch.signal.aborted);
  } finally {
    watch.end();
    // The client leaves a listener on `signal`, and Node.js retains combined signals that have one.
    over.abort();
  }
  if (request.signal.aborted) throw providerError(null, false);
  if (watch.signal.aborted) throw providerError(null, true);
  if (!isComplete) throw interrupted();
}

/** Requests JSON as strictly as the provider supports: by schema, as any JSON, or by the prompt alone. */
async function ask(
  client: OpenAI,
  request: ModelRequest,
  signal: AbortSignal,
): Promise<AsyncIterable<Chunk>> {
  const formats = request.json === undefined ? [undefined] : formatsOf(request.json);
  // The last attempt requests nothing that an old provider may not support.
  const tries = [
    ...formats.map((format) => ({ format, usage: true })),
    { format: undefined, usage: false },
  ];
  for (const [index, { format, usage }] of tries.entries()) {
    try {
      return await client.chat.completions.create(
        {
          model: request.model,
          messages: request.messages.map(({ role, content }) => ({ role, content })),
          stream: true,
          ...(usage ? { stream_options: { include_usage: true } } : {}),
          ...(format === undefined ? {} : { response_format: format }),
        },
        { signal },
      );
    } catch (error) {
      // 400 or 422: it does not support one of these fields. Nothing was generated, so the next attempt is safe.
      const isUnknownFormat =
        error instanceof APIError && (error.status === 400 || error.status === 422);
      if (!isUnknownFormat || index === tries.length - 1) throw error;
    }
  }
  throw interrupted();
}

function formatsOf(json: NonNullable<ModelRequest["json"]>): Format[] {
  return [
    {
      type: "json_schema",
      json_schema: { name: json.name, strict: true, schema: { ...json.schema } },
    },
    { type: "json_object" },
    undefined,
  ];
}

function* partsOf(chunk: Chunk): Generator<ModelPart, void, void> {
  const delta = chunk.choices?.[0]?.delta;
  // A refusal is the model's answer too.
  const text = delta?.content ?? delta?.refusal ?? "";
  if (typeof text === "string" && text !== "") yield { type: "text", text };
  if (chunk.usage)
    yield {
      type: "usage",
      inputTokens: countOf(chunk.usage.prompt_tokens),
      outputTokens: countOf(chunk.usage.completion_tokens),
    };
}

/** A count as the provider reports it; null when it is not a count or does not fit its column. */
function countOf(tokens: unknown): number | null {
  if (typeof tokens !== "number" || !Number.isSafeInteger(tokens)) return null;
  return tokens >= 0 && tokens <= MAX_COUNT ? tokens : null;
}

/** Aborts when no bytes arrive for `silenceMs`. */
function watchForSilence(silenceMs: number) {
  const silent = new AbortController();
  const timer = setTimeout(() => silent.abort(), silenceMs);
  timer.unref();
  return {
    signal: silent.signal,
    onBytes: () => void timer.refresh(),
    end: () => clearTimeout(timer),
  };
}

/** A fetch that reports every byte: providers send comments to keep a slow answer alive, which the client drops. */
function observeFetch(onBytes: () => void): typeof fetch {
  return async (input, init) => {
    const response = await fetch(input, init);
    onBytes();
    if (response.body === null) return response;
    const tap = new TransformStream<Uint8Array, Uint8Array>({
      transform(bytes, controller) {
        onBytes();
        controller.enqueue(bytes);
      },
    });
    const { status, statusText, headers } = response;
    return new Response(response.body.pipeThrough(tap), { status, statusText, headers });
  };
}

/** Returns AI_PROVIDER_ERROR with a sentence for the user, never the provider's words, which may quote the prompt. */
function providerError(error: unknown, isSilent: boolean): AppError {
  if (isAppError(error)) return error;
  if (isSilent) return failure("The model did not answer in time. Please try again.", "silent");
  if (error instanceof APIConnectionError)
    return failure("The model provider cannot be reached. Please try again.", "unreachable");
  if (error instanceof APIError && typeof error.status === "number")
    return failure(sentenceFor(error.status), `status ${error.status}`);
  return interrupted();
}

function sentenceFor(status: number): string {
  if (status === 429) return "The model provider is busy. Please try again in a moment.";
  if (status === 401 || status === 403)
    return "The model provider refused this server's key. The operator has to look at AI_API_KEY.";
  if (status === 404)
    return "The model provider does not know this model. The operator has to look at AI_MODEL_FLASH and AI_MODEL_PRO.";
  return "The model provider failed. Please try again.";
}

function refused(): AppError {
  return failure("The model provider's filter stopped this answer.", "content filter");
}

function interrupted(): AppError {
  return failure("The model's answer broke off. Please try again.", "broken off");
}

function failure(sentence: string, cause: string): AppError {
  return AppError.of("AI_PROVIDER_ERROR", sentence, undefined, cause);
}
