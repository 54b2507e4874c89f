// Event streams over REST: when they begin, and what they retain.
import { queryObjects } from "node:v8";
import { expect, it, onTestFinished } from "vitest";
import { sendEvents } from "../../../server/http/rest/events.ts";
import { serve } from "../../support/ports.ts";

it("begins a stream over REST without waiting for an event: whoever made it has waited", async () => {
  async function* quiet(signal: AbortSignal) {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    yield "too late";
  }
  const { url, close } = await serve((request, response) => {
    const leave = new AbortController();
    response.once("close", () => leave.abort());
    void sendEvents(request, response, quiet(leave.signal), leave.signal);
  });
  onTestFinished(close);
  const startedAtMs = performance.now();
  const answer = await fetch(url);
  expect(performance.now() - startedAtMs).toBeLessThan(800);
  expect(answer.status).toBe(200);
  await answer.body?.cancel();
});

it("keeps none of the events it has sent on a stream over REST that is open", {
  timeout: 240_000,
}, async () => {
  class Marker {
    readonly text = "x";
  }
  const SENT = 1_000;
  async function* source(signal: AbortSignal) {
    for (let sent = 0; sent < SENT; sent += 1) yield new Marker();
    yield { type: "last" };
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
  }
  const { url, close } = await serve((request, response) => {
    const leave = new AbortController();
    response.once("close", () => leave.abort());
    void sendEvents(request, response, source(leave.signal), leave.signal);
  });
  onTestFinished(close);
  const reader = (await fetch(url)).body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("last")) text += (await reader?.read())?.value ?? "";
  expect(text.split('{"text":"x"}')).toHaveLength(SENT + 1);
  // Counting objects walks the whole heap.
  expect(queryObjects(Marker, { format: "count" })).toBeLessThan(SENT / 20);
  await reader?.cancel();
});
