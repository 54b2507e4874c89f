// The responses of a REST operation in the OpenAPI document: success, and each error status with its possible bodies.
import { ERROR_CODES, type ErrorCode, type ErrorDetails } from "../../../shared/src/errors.ts";
import { BATCH_TOO_LARGE } from "../../trpc/limits.ts";
import { type JsonSchema, jsonSchemaOf } from "../rest/json-schema.ts";
import type { RestOperation } from "../rest/operations.ts";
import { exampleOf } from "./examples.ts";

/** One response. */
export interface ResponseObject {
  description: string;
  headers?: Record<string, object>;
  content?: Record<string, { schema: JsonSchema; example?: unknown }>;
}

const SENTENCES: Readonly<Record<number, string>> = {
  400: "The input was refused",
  401: "No valid access token",
  402: "Not enough credits",
  403: "Not allowed, or not from this origin",
  404: "Not found, or not the caller's",
  405: "The path has other methods; see Allow",
  409: "The request conflicts with what is stored",
  413: "The body is too large",
  415: "The body is not UTF-8 JSON",
  429: "Too many requests; see Retry-After",
  500: "An error of the server; report requestId",
  502: "A provider behind this API failed",
  503: "Not now; see Retry-After",
};

const EXAMPLE_MESSAGES: Readonly<Record<ErrorCode, string>> = {
  UNAUTHENTICATED: "Please sign in.",
  TOKEN_EXPIRED: "The access token has expired.",
  SESSION_REVOKED: "This session has ended. Please sign in again.",
  REFRESH_REUSED: "This session has ended. Please sign in again.",
  FORBIDDEN: "This request must come from our own pages.",
  VALIDATION_FAILED: "Please check the input.",
  NOT_FOUND: "Not found.",
  INSUFFICIENT_CREDITS: "This costs 5 credits; 2 are available.",
  IDEMPOTENCY_CONFLICT: "This key was used for another request.",
  HOLD_NOT_ACTIVE: "This hold has ended.",
  CONFLICT: "This is not possible now.",
  PREVIEW_STALE: "The price has changed. Please look at it again.",
  RATE_LIMITED: "Too many requests. Please try again later.",
  PAYLOAD_TOO_LARGE: "The request is too large.",
  BATCH_TOO_LARGE,
  PAYMENT_PROVIDER_ERROR: "The payment provider failed. Please try again.",
  AI_PROVIDER_ERROR: "The model failed. Nothing was charged.",
  IDENTITY_PROVIDER_ERROR: "The identity provider failed. Please try again.",
  SERVICE_UNAVAILABLE: "Please try again in a moment.",
  INTERNAL: "Something went wrong on our side. Please try again.",
};

const seconds: JsonSchema = { type: "integer", minimum: 0 };

/** The fields that each code carries in addition to those of every error. */
const DETAILS: Readonly<{
  [Code in keyof ErrorDetails]: Record<keyof ErrorDetails[Code], JsonSchema>;
}> = {
  VALIDATION_FAILED: {
    fields: {
      type: "object",
      description: 'By field of the input, what is wrong with it; "" is the whole.',
      additionalProperties: { type: "array", items: { type: "string" } },
    },
  },
  INSUFFICIENT_CREDITS: {
    required: { type: "integer" },
    available: { type: "integer" },
    shortfall: { type: "integer" },
    suggestedPackageId: { type: ["string", "null"] },
  },
  RATE_LIMITED: { retryAfterSeconds: seconds },
  SERVICE_UNAVAILABLE: { retryAfterSeconds: seconds },
};

/** INSUFFICIENT_CREDITS -> InsufficientCreditsError */
function schemaName(code: ErrorCode): string {
  const words = code.split("_").filter((word) => word !== "ERROR");
  return `${words.map((word) => `${word.slice(0, 1)}${word.slice(1).toLowerCase()}`).join("")}Error`;
}

/** Returns the schema of each used code's body, for `components`. */
export function errorSchemas(codes: ReadonlySet<ErrorCode>): Record<string, JsonSchema> {
  return Object.fromEntries([...codes].map((code) => [schemaName(code), errorSchema(code)]));
}

function errorSchema(code: ErrorCode): JsonSchema {
  const details: Record<string, JsonSchema> =
    code in DETAILS ? DETAILS[code as keyof typeof DETAILS] : {};
  return {
    type: "object",
    properties: {
      success: { type: "boolean", const: false },
      code: { type: "string", const: code },
      message: { type: "string", description: "A sentence for people." },
      statusCode: { type: "integer", description: "The HTTP status." },
      requestId: { type: "string", description: "Name it when you report a problem." },
      ...details,
    },
    required: ["success", "code", "message", "statusCode", "requestId", ...Object.keys(details)],
  };
}

/** Returns the error codes an operation may respond with, grouped by status. */
export function codesByStatus(operation: RestOperation): Map<number, ErrorCode[]> {
  const byStatus = new Map<number, ErrorCode[]>();
  const add = (status: number, code: ErrorCode) => {
    const codes = byStatus.get(status) ?? [];
    if (!codes.includes(code)) byStatus.set(status, [...codes, code]);
  };
  for (const code of [...codesOfEach(operation), ...(operation.errors ?? [])])
    add(ERROR_CODES[code].httpStatus, code);
  add(405, "VALIDATION_FAILED");
  if (operation.method !== "GET") {
    add(413, "PAYLOAD_TOO_LARGE");
    add(415, "VALIDATION_FAILED");
  }
  return new Map([...byStatus].sort(([one], [other]) => one - other));
}

/** Returns the codes that every operation with this access may respond with. */
function codesOfEach({ access }: RestOperation): ErrorCode[] {
  const codes: ErrorCode[] = ["VALIDATION_FAILED"];
  if (access === "user") codes.push("UNAUTHENTICATED", "TOKEN_EXPIRED", "SESSION_REVOKED");
  if (access === "service") codes.push("UNAUTHENTICATED");
  // FORBIDDEN goes to any page that is not ours; to a worker also for a disabled user.
  codes.push("FORBIDDEN", "RATE_LIMITED", "INTERNAL", "SERVICE_UNAVAILABLE");
  return codes;
}

/** Returns every response of an operation. */
export function responsesOf(operation: RestOperation): Record<string, ResponseObject> {
  const responses: Record<string, ResponseObject> = successOf(operation);
  for (const [status, codes] of codesByStatus(operation))
    responses[String(status)] = errorResponse(status, codes);
  return responses;
}

function successOf(operation: RestOperation): Record<string, ResponseObject> {
  const output = jsonSchemaOf(operation.output, "output");
  if (operation.type === "subscription") return streamOf(operation, output);
  const schema: JsonSchema = {
    ...output,
    type: "object",
    properties: { success: { type: "boolean", const: true }, ...output.properties },
    required: ["success", ...(output.required ?? [])],
  };
  return {
    "200": {
      description: "Done",
      content: { "application/json": { schema, example: exampleOf(schema) } },
    },
  };
}

/** OpenAPI 3.1 cannot describe a stream: the schema is that of one event's data, as generators expect it. */
function streamOf(
  { procedure }: RestOperation,
  output: JsonSchema,
): Record<string, ResponseObject> {
  const resumable = procedure === "ai.stream";
  return {
    "200": {
      description: [
        "Server-sent events. The `data` of each is JSON of this schema.",
        resumable
          ? "Each has an `id`; send the last one back as `Last-Event-ID` or `lastEventId` to go on after it. After the event of type `end` the stream closes."
          : "The stream goes on until it is closed.",
        "A stream that fails later sends one event named `failure` whose data is an error body. It closes after ten minutes: open it again.",
      ].join(" "),
      content: { "text/event-stream": { schema: output } },
    },
    ...(resumable
      ? { "204": { description: "Nothing comes after that event: do not reconnect" } }
      : {}),
  };
}

function errorResponse(status: number, codes: readonly ErrorCode[]): ResponseObject {
  const references = codes.map((code) => ({ $ref: `#/components/schemas/${schemaName(code)}` }));
  const [only] = references;
  const schema: JsonSchema =
    only !== undefined && references.length === 1
      ? only
      : {
          oneOf: references,
          discriminator: {
            propertyName: "code",
            mapping: Object.fromEntries(
              codes.map((code) => [code, `#/components/schemas/${schemaName(code)}`]),
            ),
          },
        };
  const headers = headersOf(status);
  return {
    description: `${SENTENCES[status] ?? "Refused"}: ${codes.join(", ")}`,
    ...(headers === undefined ? {} : { headers }),
    content: { "application/json": { schema, example: errorExample(status, codes[0]) } },
  };
}

function headersOf(status: number): Record<string, object> | undefined {
  if (status === 405)
    return { Allow: { description: "The methods of this path", schema: { type: "string" } } };
  if (status === 429 || status === 503)
    return { "Retry-After": { description: "Seconds to wait", schema: { type: "integer" } } };
  return undefined;
}

function errorExample(status: number, code: ErrorCode = "INTERNAL"): Record<string, unknown> {
  const example = exampleOf(errorSchema(code)) as Record<string, unknown>;
  return {
    ...example,
    message: EXAMPLE_MESSAGES[code],
    statusCode: status,
    ...(code === "VALIDATION_FAILED" ? { fields: { "": ["Please check the input."] } } : {}),
    ...(code === "INSUFFICIENT_CREDITS"
      ? { required: 5, available: 2, shortfall: 3, suggestedPackageId: "pkg_small" }
      : {}),
  };
}
