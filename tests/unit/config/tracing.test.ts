// OpenTelemetry's own variables: their meaning is defined by its specification, not by us.
import { expect, test } from "vitest";
import { parseConfig } from "../../../server/config/parse-config.ts";
import type { SamplerName } from "../../../server/config/config.ts";
import { openTracer } from "../../../server/telemetry/otel.ts";

const ENDPOINT = "https://otlp.example.com";
const tracingOf = (environment: Record<string, string>) => parseConfig(environment).tracing;

test("without an endpoint there is no tracing, whatever else is set", () => {
  expect(tracingOf({ OTEL_SERVICE_NAME: "x", OTEL_TRACES_SAMPLER: "always_on" })).toBeNull();
  expect(
    tracingOf({ OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT, OTEL_SDK_DISABLED: "TRUE" }),
  ).toBeNull();
  expect(
    tracingOf({ OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT, OTEL_TRACES_EXPORTER: "none" }),
  ).toBeNull();
});

test.each([
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT }, `${ENDPOINT}/v1/traces`],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: `${ENDPOINT}/otlp/` }, `${ENDPOINT}/otlp/v1/traces`],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${ENDPOINT}/in` }, `${ENDPOINT}/in`],
  [
    {
      OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT,
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${ENDPOINT}/in`,
    },
    `${ENDPOINT}/in`,
  ],
])("%j sends to %s", (environment, url) => {
  expect(tracingOf(environment)?.url).toBe(url);
});

test("headers are a percent-encoded list, and their values are secrets", () => {
  const config = parseConfig({
    OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT,
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Basic%20a2V5a2V5, x-tenant=one=two",
  });
  expect(config.tracing?.headers).toEqual({
    authorization: "Basic a2V5a2V5",
    "x-tenant": "one=two",
  });
  expect(config.secrets).toContain("Basic a2V5a2V5");
});

test.each([
  ["OTEL_EXPORTER_OTLP_HEADERS", "no pairs", /name=value/],
  ["OTEL_RESOURCE_ATTRIBUTES", "a=%zz", /percent-encoded/],
  ["OTEL_TRACES_SAMPLER", "sometimes", /must be one of/],
  ["OTEL_TRACES_SAMPLER_ARG", "1.5", /from 0 to 1/],
  ["OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", /http/],
])("%s=%s is refused with what to write", (name, text, sentence) => {
  expect(() => parseConfig({ [name]: text })).toThrow(sentence);
});

test("gRPC's port is remarked on", () => {
  const { warnings } = parseConfig({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4317" });
  expect(warnings.join()).toContain("4318");
});

const traceparent = (flags: string) =>
  `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-${flags}`;

test.each<[SamplerName, number, string | undefined, boolean]>([
  ["always_on", 1, traceparent("00"), true],
  ["always_off", 1, traceparent("01"), false],
  ["traceidratio", 0, traceparent("01"), false],
  ["traceidratio", 1, traceparent("00"), true],
  ["parentbased_always_on", 1, undefined, true],
  ["parentbased_always_on", 1, traceparent("00"), false],
  ["parentbased_always_off", 1, traceparent("01"), true],
  ["parentbased_always_off", 1, undefined, false],
  ["parentbased_traceidratio", 0, traceparent("01"), true],
  ["parentbased_traceidratio", 0, undefined, false],
])("%s of %d after %s keeps a trace: %s", async (name, ratio, header, kept) => {
  const tracer = openTracer({
    tracing: {
      ...{ url: "http://127.0.0.1:9/v1/traces", headers: {}, serviceName: "s", resource: {} },
      sampler: { name, ratio },
    },
    onExportError: () => undefined,
  });
  // The span is never ended, so nothing is exported.
  const span = tracer.beginRequest({ traceparent: header });
  expect(span.isSampled).toBe(kept);
  expect(span.run(() => tracer.begin("inner").isSampled)).toBe(kept);
  await tracer.close();
});
