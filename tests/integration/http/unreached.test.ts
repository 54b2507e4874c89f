// Requests that reach no procedure still count against their address, however they are written.
import { afterEach, expect, test } from "vitest";
import { openTestApp, type TestApp } from "../../support/server.ts";
import { sendRaw } from "./raw.ts";

let server: TestApp | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

const N = 20;
const env = { RATE_LIMIT_MAX_REQUESTS: String(N), RATE_LIMIT_WINDOW_MS: "600000" };

/** Sends one request for a procedure, byte for byte. */
const send = (call: string, { method = "GET", host = "x", more = "" } = {}) =>
  sendRaw(
    server?.url ?? "",
    `${method} /api/trpc/${call} HTTP/1.1\r\nHost: ${host}\r\n${more}Connection: close\r\n\r\n`,
  );

test.each([
  [",", "credit.costs", ""],
  ["%2C", "credit%2Ecosts", ""],
  [",", "credit.costs", "#"],
])(
  "a batch that is refused for its size counts like one of ten, with %s and %s%s",
  async (comma, name, end) => {
    server = await openTestApp({ env });
    const path = Array(11).fill(name).join(comma);
    const batch = async () => (await send(`${path}?batch=1${end}`)).status;
    expect([await batch(), await batch(), await batch()]).toEqual([400, 400, 429]);
    expect((await send("credit.costs")).status).toBe(429);
  },
);

test.each([
  ["by HEAD", "credit.costs", { method: "HEAD" }],
  ["by PUT", "credit.costs", { method: "PUT" }],
  ["with connection parameters that are no JSON", "credit.costs?connectionParams=x", {}],
  ["with connection parameters that are a list", "credit.costs?connectionParams=[]", {}],
  ["of two kinds", "credit.onChange,credit.costs?batch=1", {}],
  ["of a subscription in a batch", "credit.onChange?batch=1", {}],
  ["streamed without a batch", "credit.costs", { more: "trpc-accept: application/jsonl\r\n" }],
  ["streamed so by Accept", "credit.costs", { more: "Accept: text/x, application/jsonl\r\n" }],
  ["with a body's type", "credit.costs?x=1", { more: "Content-Type: multipart/form-data\r\n" }],
  ["to a host that is none", "credit.costs?x=1", { host: "a b" }],
  ["to a host with a password", "credit.costs?x=1", { host: "user:password@x" }],
])("a call %s counts", async (_how, call, options) => {
  server = await openTestApp({ env });
  const answers = await Promise.all(Array.from({ length: N + 3 }, () => send(call, options)));
  expect(answers.filter(({ status }) => status === 429)).not.toEqual([]);
  expect(answers.filter(({ status }) => status >= 500)).toEqual([]);
  expect((await send("credit.costs")).status).toBe(429);
});

test("a fragment, which no target has, hides no prototype key", async () => {
  server = await openTestApp();
  const input = encodeURIComponent('{"__proto__":{}}');
  for (const call of [`credit.costs?input=${input}`, `credit.costs?x=1&input=${input}`])
    for (const end of ["", "#", "#?batch=1"])
      expect((await send(call + end)).body).toContain("Prototype keys are not allowed.");
});
