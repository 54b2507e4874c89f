// A third party's program using the types of openapi-typescript with openapi-fetch.
import createClient from "openapi-fetch";
import type { components, paths } from "./generated/api.ts";

const { API_URL = "", ACCESS_TOKEN = "", KEY = "" } = process.env;
const api = createClient<paths>({
  baseUrl: API_URL,
  headers: { authorization: `Bearer ${ACCESS_TOKEN}` },
});

const me = await api.GET("/api/auth/me");
const history = await api.GET("/api/user/credits/history", { params: { query: { limit: 1 } } });
const spent = await api.POST("/api/credit/spend", {
  body: { feature: "chat-flash", idempotencyKey: KEY },
});
const refused = await api.POST("/api/credit/spend", {
  // @ts-expect-error: no feature has this name.
  body: { feature: "no-such", idempotencyKey: KEY },
});
const unknown = await api.GET("/api/ai/runs/{runId}", { params: { path: { runId: "none" } } });
const run = await api.POST("/api/ai/runs", {
  body: {
    feature: "chat-flash",
    messages: [{ role: "user", content: "What is a monad?" }],
    idempotencyKey: `${KEY}-run`,
  },
});
const events = await api.GET("/api/ai/runs/{runId}/events", {
  params: { path: { runId: run.data?.runId ?? "" } },
  parseAs: "text",
});
const error: components["schemas"]["ValidationFailedError"] | undefined =
  refused.error?.code === "VALIDATION_FAILED" ? refused.error : undefined;
let text = "";
let outcome = "";
for (const [, data = ""] of String(events.data).matchAll(/^data: (.*)$/gm)) {
  const event = JSON.parse(data) as { type: string; text?: string; outcome?: string };
  text += event.text ?? "";
  outcome = event.outcome ?? outcome;
}
console.log(
  JSON.stringify({
    email: me.data?.user.email,
    total: history.data?.total,
    charged: spent.data?.charged,
    refusedField: Object.keys(error?.fields ?? {})[0],
    unknownRun: unknown.error?.code,
    text,
    outcome,
  }),
);
