// What is known of one request while it is answered; its log line and its metrics are made from it at the end.
import type { IncomingMessage } from "node:http";
import { emptyNotes, type RequestNotes } from "../trpc/notes.ts";

/** One request, as log and metrics know it. */
export interface RequestRecord {
  /** The one id: header X-Request-Id, `requestId` in the log and in every error. */
  readonly requestId: string;
  /** For the metrics: one of a fixed, small set of words, never the caller's text. */
  route: string;
  /** Null where nothing is traced. */
  traceId: string | null;
  readonly notes: RequestNotes;
}

const RECORD = Symbol("request record");

type Recorded = IncomingMessage & { [RECORD]?: RequestRecord };

/** Gives the request its record. */
export function openRecord(request: Recorded, requestId: string): RequestRecord {
  const record = { requestId, route: "other", traceId: null, notes: emptyNotes() };
  request[RECORD] = record;
  return record;
}

/** The request's record; an empty one for a request that never passed the middleware. */
export function recordOf(request: Recorded): RequestRecord {
  return request[RECORD] ?? openRecord(request, "unknown");
}

/** Names the route for the metrics. */
export function setRoute(request: IncomingMessage, route: string): void {
  recordOf(request).route = route;
}
