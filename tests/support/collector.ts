// An OTLP/HTTP receiver on loopback that parses what it receives (the protocol's JSON encoding).
import type { IncomingMessage } from "node:http";
import { serve } from "./ports.ts";

interface KeyValue {
  readonly key: string;
  readonly value: { stringValue?: string; intValue?: number | string; boolValue?: boolean };
}

interface WireSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly endTimeUnixNano: string;
  readonly attributes?: readonly KeyValue[];
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly status?: { readonly code?: number };
}

interface ExportRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly KeyValue[] };
    readonly scopeSpans: readonly { readonly spans: readonly WireSpan[] }[];
  }[];
}

/** A received span with its own attributes and those of its resource. */
export interface ReceivedSpan extends Omit<WireSpan, "attributes"> {
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
}

/** A running collector. */
export type Collector = Awaited<ReturnType<typeof startCollector>>;

/** Starts a collector. If `silent`, it accepts connections and never answers. */
export async function startCollector({ silent = false } = {}) {
  const spans: ReceivedSpan[] = [];
  const headers: IncomingMessage["headers"][] = [];
  const texts: string[] = [];
  const { url, close } = await serve((request, response) => {
    if (silent) return;
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (chunk: string) => (body += chunk));
    request.on("end", () => {
      if (request.method !== "POST" || request.url !== "/v1/traces") {
        response.writeHead(404).end();
        return;
      }
      headers.push(request.headers);
      texts.push(body);
      spans.push(...read(JSON.parse(body) as ExportRequest));
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
  });
  return {
    /** The value for OTEL_EXPORTER_OTLP_ENDPOINT. */
    url,
    spans,
    /** The headers of each export. */
    headers,
    /** All received bodies, as text. */
    text: () => texts.join("\n"),
    close,
  };
}

function read({ resourceSpans }: ExportRequest): ReceivedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        ...span,
        attributes: toRecord(span.attributes ?? []),
        resource: toRecord(resource.attributes),
      })),
    ),
  );
}

function toRecord(attributes: readonly KeyValue[]): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.stringValue ??
        (value.intValue === undefined ? value.boolValue : Number(value.intValue)),
    ]),
  );
}
