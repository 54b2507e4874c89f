// Owns the OpenAPI 3.1 description of the REST surface, made from the contract's own schemas.
import { z } from "zod";
import { contract } from "../../../shared/src/contract.ts";
import { ERROR_CODES, type ErrorCode } from "../../../shared/src/errors.ts";
import type { AnyProcedureContract } from "../../../shared/src/procedure.ts";
import { REST_OPERATIONS, type RestOperation } from "../rest/rest-table.ts";

/** A JSON schema, as far as this file and the docs page look into it. */
export interface JsonSchema {
  type?: string | string[];
  description?: string;
  format?: string;
  enum?: readonly unknown[];
  const?: unknown;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  [keyword: string]: unknown;
}

/** One operation as described. */
export interface OperationObject {
  operationId: string;
  summary: string;
  tags: string[];
  security: Record<string, string[]>[];
  parameters?: { name: string; in: "query"; required: boolean; schema: JsonSchema }[];
  requestBody?: { required: boolean; content: Record<string, { schema: JsonSchema }> };
  responses: Record<string, object>;
}

/** The document. */
export interface OpenApiDocument {
  openapi: "3.1.0";
  info: { title: string; version: string; description: string };
  servers: { url: string }[];
  paths: Record<string, Record<string, OperationObject>>;
  components: Record<string, Record<string, object>>;
}

/** Codes an operation of each kind of access may answer. */
const CODES: Readonly<Record<RestOperation["access"], readonly ErrorCode[]>> = {
  public: ["VALIDATION_FAILED", "RATE_LIMITED", "SERVICE_UNAVAILABLE", "INTERNAL"],
  user: [
    "VALIDATION_FAILED",
    "UNAUTHENTICATED",
    "INSUFFICIENT_CREDITS",
    "FORBIDDEN",
    "NOT_FOUND",
    "CONFLICT",
    "RATE_LIMITED",
    "SERVICE_UNAVAILABLE",
    "INTERNAL",
  ],
  service: [
    "VALIDATION_FAILED",
    "UNAUTHENTICATED",
    "INSUFFICIENT_CREDITS",
    "NOT_FOUND",
    "CONFLICT",
    "RATE_LIMITED",
    "SERVICE_UNAVAILABLE",
    "INTERNAL",
  ],
};

/** The document for an API at `origin`. */
export function createOpenApi(origin: string): OpenApiDocument {
  const paths: OpenApiDocument["paths"] = {};
  for (const operation of REST_OPERATIONS) {
    const item = paths[operation.path] ?? {};
    item[operation.method.toLowerCase()] = describe(operation);
    paths[operation.path] = item;
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Skywork API",
      version: "1.0.0",
      description:
        "For clients that are not TypeScript; those have the typed tRPC router at /api/trpc. Dates are ISO 8601 UTC, money is an integer in minor units, credits are integers.",
    },
    servers: [{ url: origin }],
    paths,
    components: {
      securitySchemes: {
        accessToken: { type: "http", scheme: "bearer", bearerFormat: "JWT" },
        serviceKey: { type: "http", scheme: "bearer" },
      },
      schemas: { Error: errorSchema() },
    },
  };
}

function describe(operation: RestOperation): OperationObject {
  const procedure = find(operation.procedure);
  const input = schemaOf(procedure.input, "input");
  const object = input.anyOf?.find((part) => part.type === "object") ?? input;
  const output = schemaOf(procedure.output, "output");
  const described: OperationObject = {
    operationId: operation.procedure.replace(".", "_"),
    summary: operation.summary,
    tags: [operation.path.split("/")[2] ?? "api"],
    security:
      operation.access === "public"
        ? []
        : [operation.access === "user" ? { accessToken: [] } : { serviceKey: [] }],
    responses: {
      "200": {
        description: "Done",
        content: {
          "application/json": {
            schema: {
              ...output,
              properties: { success: { const: true }, ...output.properties },
              required: ["success", ...(output.required ?? [])],
            },
          },
        },
      },
      ...errors(operation.access),
    },
  };
  const properties = Object.entries(object.properties ?? {});
  if (operation.method === "GET") {
    if (properties.length > 0)
      described.parameters = properties.map(([name, schema]) => ({
        name,
        in: "query",
        required: object.required?.includes(name) ?? false,
        schema,
      }));
  } else if (properties.length > 0) {
    described.requestBody = {
      required: (object.required?.length ?? 0) > 0,
      content: { "application/json": { schema: object } },
    };
  }
  return described;
}

function find(path: string): AnyProcedureContract {
  const [router = "", name = ""] = path.split(".");
  const routers: Record<string, Record<string, AnyProcedureContract>> = contract;
  const procedure = routers[router]?.[name];
  if (!procedure) throw new Error(`The REST table names ${path}, which the contract lacks.`);
  return procedure;
}

function schemaOf(schema: z.ZodType, io: "input" | "output"): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest as JsonSchema;
}

function errors(access: RestOperation["access"]): Record<string, object> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of CODES[access]) {
    const { httpStatus } = ERROR_CODES[code];
    byStatus.set(httpStatus, [...(byStatus.get(httpStatus) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      String(status),
      {
        description: codes.join(" or "),
        content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
      },
    ]),
  );
}

function errorSchema(): JsonSchema {
  return {
    type: "object",
    description:
      "Beside these, `fields` for VALIDATION_FAILED, `required`, `available`, `shortfall`, `suggestedPackageId` for INSUFFICIENT_CREDITS, `retryAfterSeconds` for RATE_LIMITED and SERVICE_UNAVAILABLE.",
    properties: {
      success: { const: false },
      code: { type: "string", enum: Object.keys(ERROR_CODES) },
      message: { type: "string" },
      statusCode: { type: "integer" },
      requestId: { type: "string" },
    },
    required: ["success", "code", "message", "statusCode"],
  };
}
