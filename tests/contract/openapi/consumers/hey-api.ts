// A third party's program using hey-api's client, which reads server-sent events itself.
import { client } from "./generated/client.gen.ts";
import {
  aiRun,
  aiStart,
  aiStream,
  authMe,
  creditHistory,
  creditSpend,
} from "./generated/sdk.gen.ts";

const { API_URL = "", ACCESS_TOKEN = "", KEY = "" } = process.env;
client.setConfig({ baseUrl: API_URL, auth: () => ACCESS_TOKEN });

const me = await authMe();
const history = await creditHistory({ query: { limit: 1 } });
const spent = await creditSpend({ body: { feature: "chat-flash", idempotencyKey: KEY } });
const refused = await creditSpend({
  // @ts-expect-error: no feature has this name.
  body: { feature: "no-such", idempotencyKey: KEY },
});
const unknown = await aiRun({ path: { runId: "none" } });
const run = await aiStart({
  body: {
    feature: "chat-flash",
    messages: [{ role: "user", content: "What is a monad?" }],
    idempotencyKey: `${KEY}-run`,
  },
});
let text = "";
let outcome = "";
const { stream } = await aiStream({
  path: { runId: run.data?.runId ?? "" },
  headers: { authorization: `Bearer ${ACCESS_TOKEN}` },
});
for await (const event of stream) {
  if (event?.type === "text") text += event.text;
  if (event?.type === "end") outcome = event.outcome;
}
console.log(
  JSON.stringify({
    email: me.data?.user.email,
    total: history.data?.total,
    charged: spent.data?.charged,
    refusedField:
      refused.error?.code === "VALIDATION_FAILED" ? Object.keys(refused.error.fields)[0] : "",
    unknownRun: unknown.error?.code,
    text,
    outcome,
  }),
);
