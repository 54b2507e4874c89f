// The environment variables of the model provider.
import { z } from "zod";
import { wholeText } from "../checks.ts";
import { httpUrl, isLoopback, url } from "../fields.ts";
import { type CheckContext, defineGroup, type Finding, warning } from "../variable.ts";

export const AI = defineGroup(
  "AI models (unset in development = a stand-in; unset in production = no AI features)",
  {
    AI_BASE_URL: {
      schema: url.optional(),
      description:
        "Any OpenAI-compatible API, /v1 included: OpenAI, Gemini, OpenRouter, vLLM, Ollama.",
      example: "https://api.openai.com/v1",
      check: checkBaseUrl,
    },
    AI_API_KEY: {
      schema: z.string().optional(),
      description: "Its key, where it wants one.",
      example: "",
      secrets: wholeText,
    },
    AI_MODEL_FLASH: {
      schema: z.string().max(100).optional(),
      description: "The model of chat-flash.",
      example: "gpt-5-mini",
    },
    AI_MODEL_PRO: {
      schema: z.string().max(100).optional(),
      description: "The model of chat-pro and of slides.",
      example: "gpt-5",
    },
  },
);

/** A warning rather than a problem: a model server inside a private network often has no certificate. */
function checkBaseUrl(text: string, { production }: CheckContext): Finding[] {
  const base = httpUrl(text);
  const isExposed = base?.protocol === "http:" && !isLoopback(base);
  return production && isExposed
    ? [
        warning(
          "is plain http: AI_API_KEY and what people write travel in the clear; use https outside a private network",
        ),
      ]
    : [];
}
