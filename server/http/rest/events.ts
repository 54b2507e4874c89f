// A procedure's stream as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
import type { IncomingMessage, ServerResponse } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import { isTrackedEnvelope } from "@trpc/server";
import { raceAbort } from "../../lib/race-abort.ts";
import { toAppError } from "../../trpc/trpc.ts";
import { noteRefusal } from "../../trpc/notes.ts";
import { recordOf } from "../request-record.ts";
import { restError } from "../response.ts";

/** Often enough for proxies that drop connections silent for 30 s or more. */
const PING_MS = 15_000;
/** The caller is authenticated when a stream opens, so a stream has to be reopened now and then. */
const MAX_DURATION_MS = 10 * 60_000;
const RETRY_MS = 1_000;

/**
 * Writes `source` to the response until it ends, `signal` aborts or ten minutes have passed. Each event has JSON data,
 * and its id if the stream has ids. Rejects on errors before anything is written; later ones are sent as an event named
 * `failure`. A stream that ends before its first event gets a 204, on which a browser's EventSource stops reconnecting.
 */
export async function sendEvents(
  request: IncomingMessage,
  response: ServerResponse,
  source: AsyncIterable<unknown>,
  signal: AbortSignal,
): Promise<void> {
  const events = source[Symbol.asyncIterator]();
  const done = new AbortController();
  const over = AbortSignal.any([signal, AbortSignal.timeout(MAX_DURATION_MS), done.signal]);
  try {
    const pending = events.next();
    // trpc/first-event.ts has already waited for the first event: it is there by now, or the stream opens without it.
    const early = await raceAbort(Promise.race([pending, nextTurn()]), over);
    if (early?.done === true) {
      response.statusCode = 204;
      response.end();
      return;
    }
    begin(response);
    if (request.method !== "HEAD") await follow(request, response, { events, pending, over });
    response.end();
  } finally {
    // Releases what waits on `over`: Node.js keeps combined signals alive while they have listeners.
    done.abort();
    // Not awaited: a generator waiting for its next event is woken only by `signal`, and handles this afterwards.
    events.return?.().catch(() => undefined);
  }
}

/**
 * Sends a stream that ends immediately and closes its connection, so that the client reconnects and reaches a server
 * that keeps running. It is not refused, because a browser's EventSource never reconnects after a refusal.
 */
export function sendEmptyStream(response: ServerResponse): void {
  response.setHeader("Connection", "close");
  begin(response);
  response.end();
}

interface Following {
  readonly events: AsyncIterator<unknown>;
  /** The first event, already requested. */
  readonly pending: Promise<IteratorResult<unknown>>;
  readonly over: AbortSignal;
}

async function follow(
  request: IncomingMessage,
  response: ServerResponse,
  { events, pending, over }: Following,
): Promise<void> {
  const ping = setInterval(() => response.write(": ping\n\n"), PING_MS);
  try {
    for (let next = pending; ; next = events.next()) {
      const result = await raceAbort(next, over);
      if (result === undefined || result.done === true) return;
      if (!response.write(format(result.value))) await raceAbort(drained(response), over);
    }
  } catch (error) {
    const { requestId, notes } = recordOf(request);
    const appError = toAppError(error);
    noteRefusal(notes, appError);
    const data = JSON.stringify(restError(appError, requestId));
    response.write(`event: failure\ndata: ${data}\n\n`);
  } finally {
    clearInterval(ping);
  }
}

function begin(response: ServerResponse): void {
  response.statusCode = 200;
  response.setHeader("Content-Type", "text/event-stream; charset=utf-8");
  // nginx would otherwise buffer the events.
  response.setHeader("X-Accel-Buffering", "no");
  response.write(`retry: ${RETRY_MS}\n\n`);
}

function format(value: unknown): string {
  if (!isTrackedEnvelope(value)) return `data: ${JSON.stringify(value)}\n\n`;
  return `id: ${value[0]}\ndata: ${JSON.stringify(value[1])}\n\n`;
}

function drained(response: ServerResponse): Promise<undefined> {
  return new Promise((resolve) => {
    response.once("drain", () => resolve(undefined));
  });
}
