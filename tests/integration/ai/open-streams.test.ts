// How many streams of runs one user may have open simultaneously.
import { randomUUID } from "node:crypto";
import { expect, onTestFinished, test } from "vitest";
import { available } from "../../support/backend.ts";
import { openTestApp } from "../../support/server.ts";
import { bearer } from "../../support/wire-call.ts";

test("returns RATE_LIMITED for the 21st stream of a user at once, and serves again once one has ended", async () => {
  const world = await openTestApp({ available });
  onTestFinished(() => world.close());
  world.sandbox.model.control.setSpeed(2);
  const person = await world.person();
  const headers = bearer(person.accessToken);
  const messages = [{ role: "user", content: "Take your time." }];
  const order = { feature: "chat-pro", messages, idempotencyKey: randomUUID() };
  const started = await world.call("ai.start", "mutation", order, headers);
  const { runId } = started.data as { runId: string };
  const input = encodeURIComponent(JSON.stringify({ runId }));

  async function open() {
    const leave = new AbortController();
    const url = `${world.url}/api/trpc/ai.stream?input=${input}`;
    const answer = await fetch(url, { headers, signal: leave.signal });
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    let seen = "";
    while (!/"type":"text"|RATE_LIMITED/.test(seen)) {
      const chunk = await reader?.read();
      if (chunk?.done !== false) break;
      seen += chunk.value;
    }
    return { leave, refused: seen.includes("RATE_LIMITED") };
  }

  const streams = await Promise.all(Array.from({ length: 20 }, open));
  expect(streams.filter(({ refused }) => refused)).toEqual([]);
  expect((await open()).refused).toBe(true);
  streams[0]?.leave.abort();
  await expect.poll(async () => (await open()).refused, { timeout: 10_000 }).toBe(false);
  await world.call("ai.stop", "mutation", { runId }, headers);
  for (const { leave } of streams) leave.abort();
});
