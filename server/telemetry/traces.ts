// Spans around what the parts do, added from outside: statements, Redis commands, vendors' calls and job runs.
import { tracingChannel } from "node:diagnostics_channel";
import type { ModelPort } from "../ai/ports.ts";
import type { Backend } from "../infrastructure.ts";
import type { Job } from "../jobs/runner.ts";
import type { Span, SpanAttributes, Tracer } from "../lib/tracer.ts";
import { wrapMethods, observeModel, outcomeOf } from "./observed-calls.ts";

/** Adds spans; without a tracer everything is returned unchanged. */
export interface Traces {
  /** Traces every method of a vendor's port that returns a promise. */
  calls<Port extends object>(vendor: string, port: Port): Port;
  model(port: ModelPort): ModelPort;
  jobs(jobs: readonly Job[]): readonly Job[];
  close(): void;
}

const NO_TRACES: Traces = {
  calls: (_vendor, port) => port,
  model: (port) => port,
  jobs: (jobs) => jobs,
  close: () => undefined,
};

/** Observes the back end until `close`. */
export function createTraces(
  tracer: Tracer | null,
  backend: Pick<Backend, "database" | "onStatement">,
): Traces {
  if (tracer === null) return NO_TRACES;
  const stops = [traceStatements(tracer, backend), traceRedis(tracer)];
  return {
    calls: (vendor, port) =>
      wrapMethods(port, (name, call) => traceCall(tracer, `${vendor} ${name}`, call)),
    model: (port) => traceModel(tracer, port),
    jobs: (jobs) =>
      jobs.map((job) => ({
        ...job,
        run: (signal) => traceCall(tracer, `job ${job.name}`, () => job.run(signal)),
      })),
    close() {
      for (const stop of stops) stop();
    },
  };
}

function traceStatements(
  tracer: Tracer,
  { database, onStatement }: Pick<Backend, "database" | "onStatement">,
): () => void {
  const system = database.dialect;
  return onStatement((sql) => {
    const span = beginInside(tracer, `sql ${verbOf(sql)}`, {
      "db.system.name": system,
      "db.query.text": withoutValues(sql),
    });
    return (error) => span?.end(error === undefined ? undefined : outcomeOf(error));
  });
}

interface RedisCommand {
  readonly command?: unknown;
  span?: Span | undefined;
}

/** ioredis publishes its commands on this channel (node_modules/ioredis/built/tracing.js) while it has subscribers. */
function traceRedis(tracer: Tracer): () => void {
  const channel = tracingChannel<unknown, RedisCommand>("ioredis:command");
  const subscribers = {
    start(context: RedisCommand) {
      context.span = beginInside(tracer, `redis ${String(context.command)}`, {
        "db.system.name": "redis",
      });
    },
    end: () => undefined,
    asyncStart: () => undefined,
    asyncEnd: ({ span }: RedisCommand) => span?.end(),
    error: ({ span }: RedisCommand) => span?.end("failed"),
  };
  channel.subscribe(subscribers);
  return () => channel.unsubscribe(subscribers);
}

/**
 * Begins a span only inside work that is being traced: what the process does on its own, or continues to do after its
 * request is over, would produce traces of one span each.
 */
function beginInside(tracer: Tracer, name: string, attributes: SpanAttributes): Span | undefined {
  const parent = tracer.current();
  if (parent === undefined || parent.isEnded || !parent.isSampled) return undefined;
  return tracer.begin(name, { kind: "client", attributes });
}

function traceCall<T>(tracer: Tracer, name: string, call: () => T): T {
  const span = tracer.begin(name, name.startsWith("job ") ? {} : { kind: "client" });
  const answer = span.run(call);
  // A synchronous method calls no other system: its span is left without an end, and so is never sent.
  if (answer instanceof Promise)
    answer.then(
      () => span.end(),
      (error: unknown) => span.end(outcomeOf(error)),
    );
  return answer;
}

function traceModel(tracer: Tracer, model: ModelPort): ModelPort {
  return {
    async *stream(request) {
      const span = tracer.begin("model stream", {
        kind: "client",
        attributes: { "gen_ai.request.model": request.model },
      });
      const end = ({ error }: { error: unknown }) => {
        const outcome = outcomeOf(error);
        span.set({ outcome });
        span.end(outcome === "ok" || outcome === "stopped" ? undefined : outcome);
      };
      yield* observeModel(model, end).stream(request);
    },
  };
}

function verbOf(sql: string): string {
  return /^\s*([a-z]+)/i.exec(sql)?.[1]?.toUpperCase() ?? "statement";
}

/** Statements have placeholders; a string literal in one is removed all the same. */
function withoutValues(sql: string): string {
  return sql.replaceAll(/'(?:[^'\\]|\\.|'')*'/g, "?");
}
