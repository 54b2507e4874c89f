// What is known about a request while it is handled; its log line and metrics are made from this at the end.
import type { IncomingMessage } from "node:http";
import { emptyNotes, type RequestNotes } from "../trpc/notes.ts";

/** One request, as the log and the metrics see it. */
export interface RequestRecord {
  /** Sent as header X-Request-Id, and as `requestId` in the log and in every error. */
  readonly requestId: string;
  /** For the metrics: one of a small, fixed set of names, never the caller's text. */
  route: string;
  /** Null when the request is not traced. */
  traceId: string | null;
  readonly notes: RequestNotes;
}

const RECORD = Symbol("request record");

type Recorded = IncomingMessage & { [RECORD]?: RequestRecord };

/** Creates the request's record and attaches it to the request. */
export function openRecord(request: Recorded, requestId: string): RequestRecord {
  const record = { requestId, route: "other", traceId: null, notes: emptyNotes() };
  request[RECORD] = record;
  return record;
}

/** Returns the request's record, or a new one for a request that never passed the middleware. */
export function recordOf(request: Recorded): RequestRecord {
  return request[RECORD] ?? openRecord(request, "unknown");
}

/** Sets the route's name for the metrics. */
export function setRoute(request: IncomingMessage, route: string): void {
  recordOf(request).route = route;
}
