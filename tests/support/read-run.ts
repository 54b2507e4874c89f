// A reader of runs that speaks the wire format of `ai.stream`.
import type { RunEvent } from "../../shared/src/ai.ts";

/** An event as received. */
export interface WireEvent {
  readonly id: string;
  readonly event: RunEvent;
}

/** What a reader of a run received. */
export type Reading = Awaited<ReturnType<typeof readRun>>;

/** Reads a run over `ai.stream` until its end, or until `leaveAfter` events. */
export async function readRun(
  url: string,
  token: string,
  input: { runId: string; lastEventId?: string },
  leaveAfter = Number.POSITIVE_INFINITY,
) {
  const target = new URL("/api/trpc/ai.stream", url);
  target.searchParams.set("input", JSON.stringify(input));
  const abort = new AbortController();
  const events: WireEvent[] = [];
  let code: string | null = null;
  const headers = { accept: "text/event-stream", authorization: `Bearer ${token}` };
  const response = await fetch(target, { headers, signal: abort.signal }).catch(() => null);
  for await (const { name, id, data } of eventsOf(response)) {
    if (name === "serialized-error")
      code = (JSON.parse(data) as { data: { app: { code: string } } }).data.app.code;
    if (name === "return" || name === "serialized-error") break;
    if (name !== "message" || id === "") continue;
    const event = JSON.parse(data) as RunEvent;
    events.push({ id, event });
    if (event.type === "end" || events.length >= leaveAfter) break;
  }
  abort.abort();
  const last = events.at(-1)?.event;
  return {
    events,
    /** The text of all `text` events. */
    text: events.map(({ event }) => (event.type === "text" ? event.text : "")).join(""),
    /** The `end` event, or null if the reader left before it. */
    end: last?.type === "end" ? last : null,
    /** The error code that the stream began with. */
    code,
  };
}

interface SentEvent {
  name: string;
  id: string;
  data: string;
}

/** Yields what arrives until the connection ends, for whatever reason. */
async function* eventsOf(response: Response | null): AsyncGenerator<SentEvent> {
  const decoder = new TextDecoder();
  let buffer = "";
  try {
    for await (const bytes of (response?.body ?? []) as AsyncIterable<Uint8Array>) {
      buffer += decoder.decode(bytes, { stream: true });
      const blocks = buffer.split("\n\n");
      buffer = blocks.pop() ?? "";
      for (const block of blocks) {
        const field = (name: string) =>
          block
            .split("\n")
            .filter((line) => line.startsWith(`${name}:`))
            .map((line) => line.slice(name.length + 1).trimStart())
            .join("\n");
        yield { name: field("event") || "message", id: field("id"), data: field("data") };
      }
    }
  } catch (error) {
    // The connection was cut by this reader, a proxy or the server. The caller checks how far it got.
    if (!(error instanceof Error)) throw error;
  }
}
