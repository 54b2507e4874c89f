// What a trace is made of, for whoever does the work that is traced. Where nobody traces, a Tracer is null.

/** Words and figures of ours: never a parameter of a statement, a token, an address or what somebody wrote. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/** One piece of work in a trace. */
export interface Span {
  /** 32 hex digits. */
  readonly traceId: string;
  /** False where the sampler left the trace out: then nothing about it is kept. */
  readonly isSampled: boolean;
  readonly isEnded: boolean;
  /** Runs `work` with this span as the current one, for whatever `work` starts and awaits. */
  run<T>(work: () => T): T;
  rename(name: string): void;
  set(attributes: SpanAttributes): void;
  /** `failure` is one word for what went wrong; none = nothing did. The first call counts. */
  end(failure?: string): void;
}

/** What a span begins with. */
export interface SpanOptions {
  readonly attributes?: SpanAttributes;
  /** `client` = a call of somebody else: a database, Redis, a vendor. */
  readonly kind?: "client";
  /** The first is the parent, the others are linked. Defaults to the current span; none begins a trace. */
  readonly parents?: readonly Span[];
}

/** Begins spans. */
export interface Tracer {
  /** The span this code runs under. */
  current(): Span | undefined;
  begin(name: string, options?: SpanOptions): Span;
  /** The span of a request, in the trace that its `traceparent` names (W3C Trace Context), or in one of its own. */
  beginRequest(headers: Readonly<Record<string, string | string[] | undefined>>): Span;
}

/** Runs `work` under a span of its own, which ends with it. */
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
