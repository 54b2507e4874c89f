// How the model adapter interprets a provider's usage figures.
import { afterEach, expect, it, vi } from "vitest";
import { createModelAdapter } from "../../../server/adapters/model.ts";

afterEach(() => void vi.unstubAllGlobals());

/** Returns the usage reported for a provider that sends these figures. */
async function usageFrom(prompt_tokens: unknown, completion_tokens: unknown) {
  const chunks = [
    { choices: [{ index: 0, delta: { content: "Hi" }, finish_reason: "stop" }] },
    { choices: [], usage: { prompt_tokens, completion_tokens } },
  ];
  const body = [...chunks.map((chunk) => JSON.stringify(chunk)), "[DONE]"]
    .map((data) => `data: ${data}\n\n`)
    .join("");
  const headers = { "content-type": "text/event-stream" };
  vi.stubGlobal("fetch", () => Promise.resolve(new Response(body, { headers })));
  const parts = createModelAdapter({ baseUrl: "http://model.test/v1", apiKey: null }).stream({
    model: "m",
    messages: [{ role: "user", content: "Hello" }],
    signal: new AbortController().signal,
    silenceMs: 1_000,
  });
  for await (const part of parts) if (part.type === "usage") return part;
  return null;
}

it.each([
  ["as they are", [12, 2_147_483_647], [12, 2_147_483_647]],
  ["as unknown where no column can hold them", [2_147_483_648, 2 ** 53 - 1], [null, null]],
  ["as unknown where they are no counts", [-1, 1.5], [null, null]],
  ["as unknown where they are no numbers", ["12", undefined], [null, null]],
])("takes token counts %s", async (_how, [prompt, completion], [inputTokens, outputTokens]) => {
  expect(await usageFrom(prompt, completion)).toEqual({ type: "usage", inputTokens, outputTokens });
});
