// Traces through OpenTelemetry's SDK, sent as OTLP over HTTP. Loaded by import(), and only where an endpoint is set.
import { AsyncLocalStorage } from "node:async_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import {
  defaultTextMapGetter,
  diag,
  DiagLogLevel,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
  type Context,
  type Span as SdkSpan,
  type Tracer as SdkTracer,
} from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
} from "@opentelemetry/sdk-trace-base";
import type { Config } from "../config/config.ts";
import type { Span, SpanOptions, Tracer } from "../lib/tracer.ts";
import { readVersion } from "./version.ts";

/** Spans waiting for the collector; any more are dropped. */
const MAX_QUEUE = 8_192;
const MAX_EXPORT = 512;
const EXPORT_TIMEOUT_MS = 5_000;
const CLOSE_WITHIN_MS = 1_000;
const MAX_ATTRIBUTE_LENGTH = 1_000;
/** An unavailable collector is worth one log line now and then. */
const WARN_EVERY_MS = 60_000;

/** A tracer with an exporter behind it. */
export interface OpenTracer extends Tracer {
  /** Sends what is left, within one second. Never throws. */
  close(): Promise<void>;
}

/** Where traces go, and what to call when they do not arrive (once a minute at most). */
export interface TracerOptions {
  readonly tracing: NonNullable<Config["tracing"]>;
  readonly onExportError: (reason: string) => void;
}

/** Opens the tracer. An unavailable collector costs a bounded queue and nothing else. */
export function openTracer({ tracing, onExportError }: TracerOptions): OpenTracer {
  routeSdkWarnings(onExportError);
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({
      "service.version": readVersion(),
      "process.pid": process.pid,
      ...tracing.resource,
      "service.name": tracing.serviceName,
    }),
    sampler: samplerOf(tracing.sampler),
    spanLimits: { attributeValueLengthLimit: MAX_ATTRIBUTE_LENGTH },
    spanProcessors: [
      new BatchSpanProcessor(
        new OTLPTraceExporter({
          url: tracing.url,
          headers: { ...tracing.headers },
          timeoutMillis: EXPORT_TIMEOUT_MS,
        }),
        {
          maxQueueSize: MAX_QUEUE,
          maxExportBatchSize: MAX_EXPORT,
          exportTimeoutMillis: EXPORT_TIMEOUT_MS,
        },
      ),
    ],
  });
  let closing: Promise<void> | undefined;
  return {
    ...createTracer(provider.getTracer("skywork-backend")),
    close() {
      closing ??= shutDown(provider, onExportError);
      return closing;
    },
  };
}

async function shutDown(
  provider: BasicTracerProvider,
  onExportError: TracerOptions["onExportError"],
): Promise<void> {
  const trouble = await Promise.race([
    provider.shutdown().then(() => null, reasonOf),
    sleep(CLOSE_WITHIN_MS, `the last spans were not sent within ${CLOSE_WITHIN_MS} ms`, {
      ref: false,
    }),
  ]);
  if (trouble !== null) onExportError(trouble);
}

function createTracer(sdk: SdkTracer): Tracer {
  const storage = new AsyncLocalStorage<OtelSpan>();
  const propagator = new W3CTraceContextPropagator();
  return {
    current: () => storage.getStore(),
    begin(name, { attributes = {}, kind, parents }: SpanOptions = {}) {
      const [parent, ...linked] = (parents ?? [storage.getStore()]) as (OtelSpan | undefined)[];
      const span = sdk.startSpan(
        name,
        {
          attributes,
          kind: kind === "client" ? SpanKind.CLIENT : SpanKind.INTERNAL,
          links: linked.flatMap((other) =>
            other === undefined ? [] : [{ context: other.sdk.spanContext() }],
          ),
        },
        parent === undefined ? ROOT_CONTEXT : contextOf(parent),
      );
      return new OtelSpan(span, storage);
    },
    beginRequest(headers) {
      const parent = extract(propagator, headers);
      return new OtelSpan(sdk.startSpan("request", { kind: SpanKind.SERVER }, parent), storage);
    },
  };
}

function extract(
  propagator: W3CTraceContextPropagator,
  { traceparent, tracestate }: Parameters<Tracer["beginRequest"]>[0],
): Context {
  return propagator.extract(ROOT_CONTEXT, { traceparent, tracestate }, defaultTextMapGetter);
}

function contextOf(parent: OtelSpan): Context {
  return trace.setSpan(ROOT_CONTEXT, parent.sdk);
}

class OtelSpan implements Span {
  readonly sdk: SdkSpan;
  readonly traceId: string;
  readonly isSampled: boolean;
  isEnded = false;
  private readonly storage: AsyncLocalStorage<OtelSpan>;

  constructor(sdk: SdkSpan, storage: AsyncLocalStorage<OtelSpan>) {
    const { traceId, traceFlags } = sdk.spanContext();
    this.sdk = sdk;
    this.traceId = traceId;
    this.isSampled = (traceFlags & TraceFlags.SAMPLED) !== 0;
    this.storage = storage;
  }

  run<T>(work: () => T): T {
    return this.storage.run(this, work);
  }

  rename(name: string): void {
    this.sdk.updateName(name);
  }

  set(attributes: NonNullable<SpanOptions["attributes"]>): void {
    this.sdk.setAttributes(attributes);
  }

  end(failure?: string): void {
    if (this.isEnded) return;
    this.isEnded = true;
    if (failure !== undefined) {
      this.sdk.setAttribute("error.type", failure);
      this.sdk.setStatus({ code: SpanStatusCode.ERROR });
    }
    this.sdk.end();
  }
}

function samplerOf({ name, ratio }: TracerOptions["tracing"]["sampler"]): Sampler {
  const kind = name.replace(/^parentbased_/, "");
  const root = {
    always_on: () => new AlwaysOnSampler(),
    always_off: () => new AlwaysOffSampler(),
    traceidratio: () => new TraceIdRatioBasedSampler(ratio),
  }[kind as "always_on"]();
  return kind === name ? root : new ParentBasedSampler({ root });
}

/** The SDK reports failed exports only through this one process-wide logger. */
function routeSdkWarnings(onExportError: (reason: string) => void): void {
  let lastMs = Number.NEGATIVE_INFINITY;
  const warn = (message: string) => {
    if (performance.now() - lastMs < WARN_EVERY_MS) return;
    lastMs = performance.now();
    onExportError(reasonOf(message));
  };
  const ignore = () => undefined;
  diag.setLogger(
    { error: warn, warn: warn, info: ignore, debug: ignore, verbose: ignore },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
}

/** The SDK passes errors as JSON with a stack; the message alone is enough. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const message = /"message":"((?:[^"\\]|\\.)*)"/.exec(text)?.[1];
  return (message ?? text).slice(0, 200);
}
