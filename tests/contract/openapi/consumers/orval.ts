// A third party's program using orval's fetch client. Its URLs are relative, so fetch is given the server's.
import {
  aiRun,
  aiStart,
  authMe,
  creditHistory,
  creditSpend,
  getAiStreamUrl,
} from "./generated/api.ts";

const { API_URL = "", ACCESS_TOKEN = "", KEY = "" } = process.env;
const plainFetch = globalThis.fetch;
globalThis.fetch = (address, init) => plainFetch(new URL(String(address), API_URL), init);
const options = { headers: { authorization: `Bearer ${ACCESS_TOKEN}` } };

const me = await authMe(options);
const history = await creditHistory({ limit: 1 }, options);
const spent = await creditSpend({ feature: "chat-flash", idempotencyKey: KEY }, options);
// @ts-expect-error: no feature has this name.
const refused = await creditSpend({ feature: "no-such", idempotencyKey: KEY }, options);
const unknown = await aiRun("none", options);
const run = await aiStart(
  {
    feature: "chat-flash",
    messages: [{ role: "user", content: "What is a monad?" }],
    idempotencyKey: `${KEY}-run`,
  },
  options,
);
const runId = run.status === 200 ? run.data.runId : "";
const events = await (await fetch(getAiStreamUrl(runId), options)).text();
let text = "";
let outcome = "";
for (const [, data = ""] of events.matchAll(/^data: (.*)$/gm)) {
  const event = JSON.parse(data) as { type: string; text?: string; outcome?: string };
  text += event.text ?? "";
  outcome = event.outcome ?? outcome;
}
console.log(
  JSON.stringify({
    email: me.status === 200 ? me.data.user.email : me.data.code,
    total: history.status === 200 ? history.data.total : history.data.code,
    charged: spent.status === 200 ? spent.data.charged : spent.data.code,
    refusedField: refused.status === 400 ? Object.keys(refused.data.fields)[0] : refused.status,
    unknownRun: unknown.status === 404 ? unknown.data.code : unknown.status,
    text,
    outcome,
  }),
);
