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
