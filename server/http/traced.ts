// The span of a request, from its arrival to the end of its response.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Tracer } from "../lib/tracer.ts";
import { pathOf } from "./path.ts";
import { recordOf } from "./request-record.ts";
import { QUIET_PATHS } from "./request-log.ts";

/** Runs `answer` in a span, whose parent may be the client's `traceparent`. Probes and scrapes get no span. */
export function handleTraced(
  tracer: Tracer,
  { request, response }: { request: IncomingMessage; response: ServerResponse },
  answer: () => void,
): void {
  if (QUIET_PATHS.has(pathOf(request.url))) {
    answer();
    return;
  }
  const span = tracer.beginRequest(request.headers);
  response.once("close", () => {
    const { route, requestId, notes } = recordOf(request);
    const { statusCode } = response;
    span.rename(route);
    span.set({
      "http.request.method": request.method ?? "",
      "http.route": route,
      "http.response.status_code": statusCode,
      requestId,
      ...(notes.userId === null ? {} : { "user.id": notes.userId }),
      ...(notes.code === null ? {} : { code: notes.code }),
    });
    span.end(statusCode < 500 ? undefined : (notes.code ?? String(statusCode)));
  });
  span.run(answer);
  recordOf(request).traceId = span.traceId;
}
