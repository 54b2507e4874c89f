// What a trace is made of, for the code that is traced. Where tracing is off, a Tracer is null.

/** Our own words and figures: never a statement's parameter, a token, an address or text that someone wrote. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/** One piece of work in a trace. */
export interface Span {
  /** 32 hex digits. */
  readonly traceId: string;
  /** False when the sampler left the trace out: nothing about it is then kept. */
  readonly isSampled: boolean;
  readonly isEnded: boolean;
  /** Runs `work` with this span as the current one, including whatever `work` starts and awaits. */
  run<T>(work: () => T): T;
  rename(name: string): void;
  set(attributes: SpanAttributes): void;
  /** `failure` is one word for what went wrong; omitted when nothing did. Only the first call counts. */
  end(failure?: string): void;
}

/** How a span begins. */
export interface SpanOptions {
  readonly attributes?: SpanAttributes;
  /** `client` = a call to another system: a database, Redis, a vendor. */
  readonly kind?: "client";
  /** The first is the parent, the others are linked. Defaults to the current span; without any, a new trace begins. */
  readonly parents?: readonly Span[];
}

/** Begins spans. */
export interface Tracer {
  /** Returns the span this code runs under. */
  current(): Span | undefined;
  begin(name: string, options?: SpanOptions): Span;
  /** Begins a request's span, in the trace that its `traceparent` names (W3C Trace Context), or else in a new one. */
  beginRequest(headers: Readonly<Record<string, string | string[] | undefined>>): Span;
}

/** Runs `work` under a new span, which ends with it. */
export async function inSpan<T>(
  tracer: Tracer,
  [name, options]: readonly [string, SpanOptions?],
  work: (span: Span) => Promise<T>,
): Promise<T> {
  const span = tracer.begin(name, options);
  try {
    const result = await span.run(() => work(span));
    span.end();
    return result;
  } catch (error) {
    span.end("failed");
    throw error;
  }
}
