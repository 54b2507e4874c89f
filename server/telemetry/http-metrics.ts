// Metrics of requests: durations, refusals, limits, open streams.
import type { IncomingMessage, ServerResponse } from "node:http";
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { ERROR_CODES, type ErrorCode } from "../../shared/src/errors.ts";
import { SlotSet } from "../lib/slot-set.ts";

/** What is known about a request once it is over. */
export interface RequestOutcome {
  /** One of a fixed set of words. */
  readonly route: string;
  /**
   * Why it was refused (for a stream, before or after it began); for a batch, the most serious of its calls' refusals.
   */
  readonly refusal: ErrorCode | null;
}

/** Any other method could be any word a caller likes, and each would become a label. */
const METHODS = new Set(["GET", "POST", "OPTIONS", "HEAD", "PATCH", "DELETE"]);

/** Registers the metrics of requests. Each code starts at 0, so that a first refusal shows as an increase. */
export function measureHttp(registry: Registry) {
  const refusals = new Counter({
    name: "refusals_total",
    help: "Requests and streams refused, by error code; a batch counts once.",
    labelNames: ["code"] as const,
    registers: [registry],
  });
  for (const code of Object.keys(ERROR_CODES)) refusals.inc({ code }, 0);
  const limits = new Counter({
    name: "rate_limit_hits_total",
    help: "Calls refused because their caller was over a limit, by tier of the limit.",
    labelNames: ["tier"] as const,
    registers: [registry],
  });
  limits.inc({ tier: "anonymous" }, 0);
  return {
    /** Times a request until its response is sent; `outcomeOf` is called then. */
    watch: watchRequests(registry, (code) => refusals.inc({ code })),
    /** Counts a caller who exceeded the limit of this tier. */
    limited: (tier: string) => limits.inc({ tier }),
  };
}

function watchRequests(registry: Registry, refused: (code: ErrorCode) => void) {
  const durations = new Histogram({
    name: "http_request_duration_seconds",
    help: "Duration of HTTP requests by route and status class; streams only where they were refused.",
    labelNames: ["route", "method", "status"] as const,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  // Looking up a child by its labels costs more than counting. There are at most as many as routes, methods and
  // classes.
  const children = new Map<string, ReturnType<typeof durations.labels>>();
  function childOf(route: string, method: string, status: string) {
    const name = `${route} ${method} ${status}`;
    const known = children.get(name);
    if (known !== undefined) return known;
    const child = durations.labels({ route, method, status });
    children.set(name, child);
    return child;
  }
  const streams = measureStreams(registry);
  // Whether a response is a stream is read from its headers, which Node.js writes once.
  return (
    request: IncomingMessage,
    response: ServerResponse,
    outcomeOf: (request: IncomingMessage) => RequestOutcome,
  ): void => {
    const startedAtMs = performance.now();
    streams.watch(response);
    response.on("close", () => {
      const { route, refusal } = outcomeOf(request);
      if (refusal !== null) refused(refusal);
      // Streams live for minutes and would drown out the durations of calls.
      if (streams.ended(response)) return;
      const method = METHODS.has(request.method ?? "") ? (request.method ?? "") : "other";
      const status = `${Math.floor(response.statusCode / 100)}xx`;
      childOf(route, method, status).observe((performance.now() - startedAtMs) / 1000);
    });
  };
}

/** Open streams are those whose headers were sent and whose connection is still there. */
function measureStreams(registry: Registry) {
  const open = new Set<ServerResponse>();
  const waiting = new SlotSet<ServerResponse>();
  const opened = new Counter({
    name: "http_streams_opened_total",
    help: "Streams of server-sent events that began.",
    registers: [registry],
  });
  function settle(): void {
    for (const response of waiting) {
      if (!response.headersSent) continue;
      waiting.delete(response);
      if (isStream(response)) {
        open.add(response);
        opened.inc();
      }
    }
  }
  new Gauge({
    name: "http_streams_open",
    help: "Streams of server-sent events that are open now.",
    registers: [registry],
    collect() {
      settle();
      this.set(open.size);
    },
  });
  return {
    /** Costs only a slot: which responses are streams is determined at the scrape and when they end. */
    watch(response: ServerResponse): void {
      waiting.add(response);
    },
    /** Stops counting the response as open, and returns whether it was a stream. */
    ended(response: ServerResponse): boolean {
      if (waiting.delete(response) && isStream(response)) opened.inc();
      open.delete(response);
      return isStream(response);
    },
  };
}

function isStream(response: ServerResponse): boolean {
  if (response.statusCode >= 400) return false;
  return String(response.getHeader("content-type") ?? "").startsWith("text/event-stream");
}
