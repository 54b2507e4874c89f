// The standard environment variables of OpenTelemetry that this server reads.
import { z } from "zod";
import type { SamplerName } from "../config.ts";
import { httpUrl, issuer, list } from "../fields.ts";
import { defineGroup, type Finding, warning } from "../variable.ts";

const SAMPLERS = [
  "always_on",
  "always_off",
  "traceidratio",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio",
] as const satisfies readonly SamplerName[];

export const TRACING = defineGroup("Traces by OpenTelemetry (unset = none, and no SDK is loaded)", {
  OTEL_TRACES_EXPORTER: {
    schema: z.enum(["otlp", "none"], { error: "must be otlp or none" }),
    default: "otlp",
    description: "Where spans go: otlp (to the address below, if there is one) or none.",
  },
  OTEL_EXPORTER_OTLP_ENDPOINT: {
    schema: issuer.optional(),
    description: "The collector, OTLP over HTTP; /v1/traces is added to it.",
    example: "http://127.0.0.1:4318",
    check: checkPort,
  },
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: {
    schema: issuer.optional(),
    description: "The same as a full address, used as it is.",
    example: "https://otlp.example.com/v1/traces",
    check: checkPort,
  },
  OTEL_EXPORTER_OTLP_HEADERS: {
    schema: pairs("OTEL_EXPORTER_OTLP_HEADERS").default({}),
    description: "Headers for the collector: name=value list, values percent-encoded.",
    example: "",
    secrets: (text) => [text, ...Object.values(readPairs(text) ?? {})],
  },
  OTEL_SERVICE_NAME: {
    schema: z.string().max(255),
    default: "skywork-backend",
    description: "What the service is called in traces.",
  },
  OTEL_RESOURCE_ATTRIBUTES: {
    schema: pairs("OTEL_RESOURCE_ATTRIBUTES").default({}),
    description: "Attributes of every span: name=value list, values percent-encoded.",
    example: "deployment.environment.name=production",
  },
  OTEL_TRACES_SAMPLER: {
    schema: z.enum(SAMPLERS, { error: `must be one of ${SAMPLERS.join(", ")}` }),
    default: "parentbased_always_on",
    description: `Which traces are kept: ${SAMPLERS.join(", ")}. parentbased_ = as the caller's traceparent says, where it sends one.`,
  },
  OTEL_TRACES_SAMPLER_ARG: {
    schema: ratio(),
    default: "1",
    description: "The part that traceidratio keeps, 0 to 1.",
  },
  OTEL_SDK_DISABLED: {
    schema: z.string().transform((text) => text.toLowerCase() === "true"),
    default: "false",
    description: "true turns tracing off whatever else is set.",
  },
});

function ratio() {
  return z.string().transform((text, ctx) => {
    const value = /^\d(\.\d{1,10})?$/.test(text) ? Number(text) : Number.NaN;
    if (value >= 0 && value <= 1) return value;
    ctx.addIssue("must be a number from 0 to 1, such as 0.1");
    return z.NEVER;
  });
}

/** Parses a `name=value` list; null when it is not one. */
function readPairs(text: string): Record<string, string> | null {
  const found: Record<string, string> = {};
  for (const part of list(text)) {
    const equals = part.indexOf("=");
    const name = part.slice(0, Math.max(0, equals)).trim();
    if (!/^[\w.-]+$/.test(name)) return null;
    try {
      found[name] = decodeURIComponent(part.slice(equals + 1).trim());
    } catch {
      return null;
    }
  }
  return found;
}

function pairs(variable: string) {
  return z.string().transform((text, ctx) => {
    const found = readPairs(text);
    if (found !== null) return found;
    ctx.addIssue(
      `must be a list such as ${variable}=name=value,other=value, with values percent-encoded`,
    );
    return z.NEVER;
  });
}

function checkPort(text: string): Finding[] {
  return httpUrl(text)?.port === "4317"
    ? [warning("names port 4317, which is gRPC's at most collectors: OTLP over HTTP is at 4318")]
    : [];
}
