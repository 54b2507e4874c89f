// Traces as a collector receives them: one per request, down to the statement, and without personal data.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { createLogger } from "../../../server/lib/logger.ts";
import { openTracer } from "../../../server/telemetry/otel.ts";
import { type Collector, type ReceivedSpan, startCollector } from "../../support/collector.ts";
import { available } from "../../support/backend.ts";
import { openTestApp } from "../../support/server.ts";

const EMAIL = "traced-person@example.com";
const PROMPT = "what only the model may read";
const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";
const UNSAMPLED = "1af7651916cd43dd8448eb211c80319d";

describe("traces", () => {
  let collector: Collector;
  const lines: Record<string, unknown>[] = [];
  const keys = { alone: randomUUID(), together: [randomUUID(), randomUUID()] };
  let accessToken = "";
  beforeAll(async () => {
    collector = await startCollector();
    const tracer = openTracer({
      tracing: {
        url: `${collector.url}/v1/traces`,
        headers: { "x-tenant": "ours" },
        serviceName: "traced",
        resource: { "deployment.environment.name": "suite" },
        sampler: { name: "parentbased_always_on", ratio: 1 },
      },
      onExportError: (reason) => lines.push({ trouble: reason }),
    });
    const write = (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>);
    const server = await openTestApp({
      available,
      app: {
        tracer,
        logger: createLogger({
          level: "info",
          destination: { write },
          traceId: () => tracer.current()?.traceId,
        }),
      },
    });
    const { client, ...person } = await server.signIn(EMAIL);
    ({ accessToken } = person);
    const spend = (idempotencyKey: string, traceparent: string) =>
      fetch(`${server.url}/api/trpc/credit.spend`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${accessToken}`,
          "content-type": "application/json",
          traceparent,
        },
        body: JSON.stringify({ feature: "chat-flash", idempotencyKey }),
      });
    expect((await spend(keys.alone, `00-${TRACE}-${PARENT}-01`)).status).toBe(200);
    expect((await spend(randomUUID(), `00-${UNSAMPLED}-${PARENT}-00`)).status).toBe(200);
    await Promise.all(
      keys.together.map((key, index) =>
        spend(key, `00-${String(index + 1).repeat(32)}-${PARENT}-01`),
      ),
    );
    await fetch(`${server.url}/api/user/credits`, {
      headers: { authorization: `Bearer ${accessToken}`, traceparent: "nonsense" },
    });
    const { packages } = await client.payment.packages.query();
    await client.payment.checkout.mutate({ packageId: packages[0]?.id ?? "" });
    const { runId } = await client.ai.start.mutate({
      feature: "chat-pro",
      messages: [{ role: "user", content: PROMPT }],
      idempotencyKey: randomUUID(),
    });
    await vi.waitFor(
      async () => expect((await client.ai.run.query({ runId })).state).not.toBe("running"),
      { timeout: 20_000 },
    );
    await server.app.jobs.runNow("expire-lots");
    await fetch(`${server.url}/ready`);
    await server.close();
    await tracer.close();
  });
  afterAll(() => collector.close());

  const inTrace = (traceId: string) => collector.spans.filter((span) => span.traceId === traceId);
  const childrenOf = ({ spanId }: ReceivedSpan) =>
    collector.spans.filter(({ parentSpanId }) => parentSpanId === spanId);
  const named = (spans: readonly ReceivedSpan[], name: string | RegExp) => {
    const found = spans.find((span) =>
      typeof name === "string" ? span.name === name : name.test(span.name),
    );
    if (!found) throw new Error(`No ${String(name)} among ${spans.map((s) => s.name).join(", ")}`);
    return found;
  };

  it("continues a traceparent: request, procedure, batch of the ledger, statements", () => {
    const request = named(inTrace(TRACE), "trpc credit.spend");
    expect(request.parentSpanId).toBe(PARENT);
    expect(request.kind).toBe(2);
    expect(request.attributes).toMatchObject({
      "http.request.method": "POST",
      "http.response.status_code": 200,
    });
    const procedure = named(childrenOf(request), "credit.spend");
    const batch = named(childrenOf(procedure), "ledger batch");
    expect(batch.attributes).toMatchObject({ operations: 1 });
    const statement = named(childrenOf(batch), /^sql (SELECT|UPDATE|INSERT)/);
    expect(statement.kind).toBe(3);
    expect(statement.attributes["db.system.name"]).toBe(available.dialect);
    expect(BigInt(batch.endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(statement.endTimeUnixNano));
    if (available.redis) named(inTrace(TRACE), /^redis /);
  });

  it("keeps nothing of a trace that its caller left out", () => {
    expect(inTrace(UNSAMPLED)).toEqual([]);
  });

  it("shows a batch in the trace of each of its spends", () => {
    for (const digit of ["1", "2"]) {
      const spans = inTrace(digit.repeat(32));
      named(childrenOf(named(spans, "credit.spend")), "ledger batch");
    }
  });

  it("begins a trace of its own where the traceparent is none", () => {
    const request = named(collector.spans, "GET /api/user/credits");
    expect(request.parentSpanId ?? "").toBe("");
    expect(request.traceId).toMatch(/^[0-9a-f]{32}$/);
  });

  it.each([["google "], ["stripe createCheckout"], ["model stream"], ["job expire-lots"]])(
    "has a span of %s",
    (name) => {
      expect(collector.spans.filter((span) => span.name.startsWith(name))).not.toEqual([]);
    },
  );

  it("leaves probes out", () => {
    const routes = collector.spans.map(({ attributes }) => attributes["http.route"]);
    expect(routes).not.toContain("ready");
    expect(collector.spans.filter(({ name }) => name.includes("ready"))).toEqual([]);
  });

  it("names service and resource, and sends the headers it was given", () => {
    expect(collector.spans[0]?.resource).toMatchObject({
      "service.name": "traced",
      "deployment.environment.name": "suite",
    });
    expect(collector.headers[0]?.["x-tenant"]).toBe("ours");
    expect(lines.filter((line) => "trouble" in line)).toEqual([]);
  });

  it("writes the trace's id into the log line of its request", () => {
    const traced = lines.filter(({ traceId }) => traceId === TRACE);
    expect(traced).toHaveLength(1);
    expect(traced[0]).toMatchObject({ procedure: "credit.spend", status: 200 });
    const requests = lines.filter(
      (line) => line["path"] !== undefined && line["path"] !== "/ready",
    );
    expect(requests.filter(({ traceId }) => typeof traceId !== "string")).toEqual([]);
  });

  it("holds no parameter, token, address or prompt", () => {
    const text = collector.text();
    expect(text.length).toBeGreaterThan(1_000);
    for (const secret of [EMAIL, PROMPT, accessToken, keys.alone, ...keys.together])
      expect(text).not.toContain(secret);
  });
});
