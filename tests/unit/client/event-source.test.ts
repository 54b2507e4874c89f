// Server-sent events over fetch: what is resumed from after a cut, and that coming back leaves nothing behind.
import { getEventListeners } from "node:events";
import { expect, it } from "vitest";
import { FetchEventSource } from "../../../shared/src/event-source.ts";

/** A fetch that answers each call with the next of `bodies`, and tells the Last-Event-ID it was called with. */
function answering(bodies: readonly string[]) {
  const asked: (string | null)[] = [];
  const fetch: typeof globalThis.fetch = (_url, init) => {
    asked.push(new Headers(init?.headers).get("last-event-id"));
    return Promise.resolve(new Response(bodies[asked.length - 1] ?? ""));
  };
  return { fetch, asked };
}

it.each([
  ["before the blank line that ends an event", "data: one\nid: 1\n\ndata: two\nid: 2\n"],
  ["inside an event", "data: one\nid: 1\n\ndata: tw"],
  ["after an event", "data: one\nid: 1\n\n"],
])("resumes after the last whole event when it is cut %s", async (_where, first) => {
  const { fetch, asked } = answering([first, "data: two\nid: 2\n\n"]);
  const source = new FetchEventSource("http://localhost/", {
    fetch,
    headers: () => Promise.resolve({}),
  });
  const received: string[] = [];
  await new Promise<void>((resolve) => {
    source.addEventListener("message", ({ data }) => {
      received.push(data);
      if (received.length === 2) resolve();
    });
  });
  source.close();
  expect(received).toEqual(["one", "two"]);
  expect(asked).toEqual([null, "1"]);
});

it("leaves nothing on its signal when it has waited before it comes back", async () => {
  const listeners: number[] = [];
  const source = await new Promise<FetchEventSource>((resolve) => {
    const opened = new FetchEventSource("http://localhost/", {
      headers: () => Promise.resolve({}),
      fetch: (_url, init) => {
        if (init?.signal) listeners.push(getEventListeners(init.signal, "abort").length);
        if (listeners.length === 2) resolve(opened);
        return Promise.resolve(new Response(""));
      },
    });
  });
  source.close();
  expect(listeners).toEqual([0, 0]);
});
