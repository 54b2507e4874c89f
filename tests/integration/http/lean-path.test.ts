// The lean path and tRPC's own handler give the same answers, byte for byte.
import { randomInt, randomUUID } from "node:crypto";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { AppError } from "../../../server/lib/errors.ts";
import { type SignedIn, openTestApp, type TestApp } from "../../support/server.ts";
import { sendRaw } from "./raw.ts";
import { bearer } from "../../support/wire-call.ts";

let lean: TestApp;
let stock: TestApp;
let person: SignedIn;

beforeAll(async () => {
  lean = await openTestApp();
  // Both share one configuration except for the path through HTTP.
  stock = await openTestApp({ app: { leanPath: false } });
  person = await lean.signIn("lean@example.com");
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});
afterAll(async () => {
  await lean.close();
  await stock.close();
});

interface Call {
  name: string;
  method?: string;
  path: string;
  body?: string;
  headers?: Record<string, string>;
}

const input = (value: unknown) => encodeURIComponent(JSON.stringify(value));
const json = { "content-type": "application/json" };

/** Calls whose answers do not depend on the caller or the time. */
const CALLS: readonly Call[] = [
  { name: "a query", path: "credit.costs" },
  { name: "a query with an empty input", path: `credit.costs?input=${input({})}` },
  { name: "a query with an empty input text", path: "credit.costs?input=" },
  { name: "a batch of one", path: `credit.costs?batch=1&input=${input({})}` },
  { name: "a batch of two", path: `credit.costs,payment.packages?batch=1&input=${input({})}` },
  {
    name: "a batch with one refused input",
    path: `credit.costs,payment.packages?batch=1&input=${input({ 1: { no: 1 } })}`,
  },
  { name: "a batch whose input is an array", path: `credit.costs?batch=1&input=${input([{}])}` },
  { name: "a batch whose input is a number", path: `credit.costs?batch=1&input=${input(1)}` },
  { name: "a refused query", path: `credit.costs?input=${input({ unknown: 1 })}` },
  { name: "an input that is no JSON", path: "credit.costs?input=%7Bnope" },
  { name: "a query without a token", path: "auth.me" },
  { name: "a batch that is refused as a whole", path: "auth.me,user.profile?batch=1" },
  { name: "a batch of a refusal and an answer", path: "auth.me,credit.costs?batch=1" },
  { name: "a batch over the limit", path: `${Array(11).fill("credit.costs").join(",")}?batch=1` },
  { name: "empty names in a batch", path: "credit.costs,,?batch=1" },
  { name: "no name at all", path: "" },
  { name: "an unknown procedure", path: "credit.nothing" },
  { name: "a name of Object.prototype", path: "constructor" },
  { name: "__proto__", path: "__proto__" },
  { name: "a mutation by GET", path: "auth.refresh" },
  { name: "a query by POST", method: "POST", path: "credit.costs", body: "{}", headers: json },
  { name: "PUT", method: "PUT", path: "credit.costs", body: "{}", headers: json },
  { name: "HEAD", method: "HEAD", path: "credit.costs" },
  { name: "mixed kinds", path: "credit.costs,auth.refresh?batch=1" },
  { name: "bad percent-encoding", path: "credit.costs%zz" },
  { name: "a subscription in a batch", path: "credit.onChange,credit.costs?batch=1" },
  {
    name: "a mutation without a token",
    method: "POST",
    path: "credit.spend",
    body: "{}",
    headers: json,
  },
  { name: "a mutation without a body", method: "POST", path: "auth.refresh", headers: json },
  {
    name: "a mutation with a broken body",
    method: "POST",
    path: "auth.refresh",
    body: "{",
    headers: json,
  },
  {
    name: "a mutation with an array",
    method: "POST",
    path: "auth.refresh",
    body: "[]",
    headers: json,
  },
  {
    name: "a batched mutation",
    method: "POST",
    path: "auth.refresh?batch=1",
    body: '{"0":{}}',
    headers: json,
  },
  {
    name: "a charset",
    method: "POST",
    path: "auth.refresh",
    body: "{}",
    headers: { "content-type": "application/json; charset=utf-8" },
  },
  {
    name: "a form",
    method: "POST",
    path: "auth.refresh",
    body: "a=1",
    headers: { "content-type": "application/x-www-form-urlencoded" },
  },
  {
    name: "plain text",
    method: "POST",
    path: "auth.refresh",
    body: "{}",
    headers: { "content-type": "text/plain" },
  },
];

/** Headers that depend on the time or the request, or on how the body is framed. */
const VOLATILE = [
  "date",
  "ratelimit-reset",
  "x-request-id",
  "content-length",
  "transfer-encoding",
  "keep-alive",
  "connection",
];

async function ask(server: TestApp, call: Call, token?: string) {
  const answer = await fetch(`${server.url}/api/trpc/${call.path}`, {
    method: call.method ?? "GET",
    headers: {
      ...call.headers,
      "x-request-id": "same-for-both",
      ...(token === undefined ? {} : bearer(token)),
    },
    ...(call.body === undefined ? {} : { body: call.body }),
  });
  const headers = [...answer.headers].filter(([name]) => !VOLATILE.includes(name));
  const counted = headers.filter(([name]) => !name.startsWith("ratelimit-remaining"));
  return {
    status: answer.status,
    body: await answer.text(),
    headers: Object.fromEntries(
      counted.map(([name, value]) => [
        name,
        name === "vary"
          ? value
              .split(", ")
              .map((part) => part.toLowerCase())
              .sort()
          : value,
      ]),
    ),
  };
}

test.each(CALLS)("returns the same answer on both paths: $name", async (call) => {
  const one = await ask(lean, call);
  expect(one).toEqual(await ask(stock, call));
});

test("returns the same answers on both paths to a signed-in person", async () => {
  for (const path of [
    "auth.me",
    "credit.balance",
    "credit.history",
    "auth.me,credit.balance?batch=1",
  ]) {
    const answer = await ask(lean, { name: path, path }, person.accessToken);
    expect(answer.status).toBe(200);
    // A header that only tRPC's own handler understands makes the same server take the other path.
    const other = await ask(
      lean,
      { name: path, path, headers: { "trpc-accept": "application/json" } },
      person.accessToken,
    );
    expect(answer).toEqual(other);
  }
});

// Each of these costs as much as the rules of a spend, which otherwise only a profile would reveal.
test("an ordinary call makes neither an error nor an AbortSignal", async () => {
  const made: string[] = [];
  class Noted extends AbortController {
    constructor() {
      super();
      made.push(new Error("made here").stack ?? "");
    }
  }
  vi.stubGlobal("AbortController", Noted);
  const errors = vi.spyOn(AppError, "of");
  const body = JSON.stringify({ feature: "chat-flash", idempotencyKey: randomUUID() });
  const { status } = await sendRaw(
    lean.url,
    `POST /api/trpc/credit.spend HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Type: application/json\r\n` +
      `Authorization: Bearer ${person.accessToken}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  expect(status).toBe(200);
  expect(made.filter((stack) => stack.includes("lean-path.ts"))).toEqual([]);
  expect(errors).not.toHaveBeenCalled();
});

/** Procedures of all kinds whose answers do not depend on the time, and names that do not exist. */
const NAMES = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      "auth.me",
      "credit.balance",
      "credit.costs",
      "credit.history",
      "payment.packages",
      "payment.subscription",
      "user.profile",
      "admin.users",
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom("auth.refresh", "credit.spend", "credit.onChange", "credit.nope"),
  },
  { weight: 1, arbitrary: fc.constantFrom("", "auth", "__proto__", "toString", "credit.costs.x") },
);

const INPUTS = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom({}, { limit: 1 }, { limit: 0 }, { unknown: 1 }) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
);

/** The text in `input` or in the body: mostly JSON, for one call or keyed by position, sometimes broken. */
const INPUT_TEXTS = fc.oneof(
  { weight: 4, arbitrary: INPUTS.map((value) => JSON.stringify(value)) },
  {
    weight: 4,
    arbitrary: fc
      .array(INPUTS, { maxLength: 4 })
      .map((values) => JSON.stringify(Object.fromEntries(values.entries()))),
  },
  { weight: 1, arbitrary: fc.constantFrom("", "null", "{", "[]", "undefined", '{"__proto__":1}') },
);

const RANDOM_CALL: fc.Arbitrary<Call & { signedIn: boolean }> = fc
  .record({
    names: fc.array(NAMES, { minLength: 1, maxLength: 4 }),
    query: fc.constantFrom("", "", "batch=1", "batch=1", "batch=0", "batch=2", "other=1"),
    method: fc.constantFrom("GET", "GET", "GET", "POST", "PUT", "HEAD", "DELETE"),
    text: fc.option(INPUT_TEXTS, { nil: undefined, freq: 4 }),
    contentType: fc.constantFrom(
      "application/json",
      "application/json",
      "application/json; charset=utf-8",
      "text/plain",
      "application/octet-stream",
    ),
    signedIn: fc.boolean(),
  })
  .map(({ names, query, method, text, contentType, signedIn }) => {
    const takesBody = method === "POST" || method === "PUT";
    const inUrl = text === undefined || takesBody ? "" : `input=${encodeURIComponent(text)}`;
    const search = [query, inUrl].filter((part) => part !== "").join("&");
    const path = `${names.join(",")}${search === "" ? "" : `?${search}`}`;
    return {
      name: `${method} ${path}`,
      method,
      path,
      // A write would be answered differently the second time, and a stream that is permitted does not end.
      signedIn: signedIn && method === "GET" && !names.includes("credit.onChange"),
      ...(takesBody ? { headers: { "content-type": contentType } } : {}),
      ...(takesBody && text !== undefined ? { body: text } : {}),
    };
  });

test("random requests get the same answers on both paths", { timeout: 180_000 }, async () => {
  const seed = Number(process.env["SEED"] ?? randomInt(2 ** 31));
  process.stdout.write(`lean path, 2,000 random requests: SEED=${seed}\n`);
  const statuses = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(RANDOM_CALL, async ({ signedIn, ...call }) => {
      const token = signedIn ? person.accessToken : undefined;
      const answer = await ask(lean, call, token);
      const headers = { ...call.headers, "trpc-accept": "application/json" };
      expect(answer).toEqual(await ask(lean, { ...call, headers }, token));
      if (token === undefined) expect(answer).toEqual(await ask(stock, call));
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    }),
    { numRuns: 2_000, seed },
  );
  // It would prove little if all requests were refused alike.
  for (const status of [200, 207, 400, 401, 404, 405])
    expect(statuses.get(status)).toBeGreaterThan(20);
});
