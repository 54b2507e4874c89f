// The OpenAPI 3.1 description of the REST surface, made from the procedures' metadata and the contract's schemas.
import type { ErrorCode } from "../../../shared/src/errors.ts";
import { type JsonSchema, jsonSchemaOf } from "../rest/json-schema.ts";
import { REST_OPERATIONS, type RestOperation } from "../rest/operations.ts";
import { exampleOf } from "./examples.ts";
import { codesByStatus, errorSchemas, type ResponseObject, responsesOf } from "./responses.ts";

interface ParameterObject {
  name: string;
  in: "query" | "path" | "header";
  required: boolean;
  description?: string;
  schema: JsonSchema;
}

/** An operation object of the document. */
interface OperationObject {
  operationId: string;
  summary: string;
  description: string;
  tags: string[];
  security: Record<string, string[]>[];
  parameters?: ParameterObject[];
  requestBody?: {
    required: boolean;
    content: Record<string, { schema: JsonSchema; example: unknown }>;
  };
  responses: Record<string, ResponseObject>;
}

/** The OpenAPI document. */
export interface OpenApiDocument {
  openapi: "3.1.0";
  info: object;
  servers: { url: string }[];
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, OperationObject>>;
  components: Record<string, Record<string, object>>;
}

const TAGS = [
  { name: "auth", description: "Signing in and out, and the sessions that follow from it." },
  { name: "user", description: "The profile, the export of everything stored, and the deletion." },
  { name: "credit", description: "The balance, its history, and spending it." },
  { name: "payment", description: "Packages, plans, subscriptions and invoices." },
  { name: "ai", description: "Runs of a model, charged by what they produce." },
  { name: "service", description: "For AI workers with a service key that act for a user." },
];

const SECURITY_SCHEMES = {
  accessToken: {
    type: "http",
    scheme: "bearer",
    bearerFormat: "JWT",
    description: "The accessToken of `POST /api/auth/refresh`.",
  },
  serviceKey: {
    type: "http",
    scheme: "bearer",
    description: "One of the keys of SERVICE_API_KEYS.",
  },
  refreshCookie: {
    type: "apiKey",
    in: "cookie",
    name: "refresh",
    description: "Set by the sign-in; named `__Host-refresh` over HTTPS.",
  },
};

/** Returns the document for an API at `base` (publicBaseOf), omitting a local origin: the document's host applies. */
export function createOpenApi(base: string): OpenApiDocument {
  const paths: OpenApiDocument["paths"] = {};
  const codes = new Set<ErrorCode>();
  for (const operation of REST_OPERATIONS) {
    paths[operation.path] = {
      ...paths[operation.path],
      [operation.method.toLowerCase()]: describe(operation),
    };
    for (const some of codesByStatus(operation).values()) for (const code of some) codes.add(code);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Skywork API",
      version: "1.0.0",
      description:
        "For clients that are not TypeScript; those have the typed tRPC router at /api/trpc. Sign in at /api/auth/google in a browser, exchange the cookie at `POST /api/auth/refresh`, then send `Authorization: Bearer` with the access token. Dates are ISO 8601 UTC, money is an integer in minor units, credits are integers.",
      contact: { name: "Skywork backend" },
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: base.startsWith("https:") ? base : new URL(base).pathname }],
    tags: TAGS,
    paths,
    components: { securitySchemes: SECURITY_SCHEMES, schemas: errorSchemas(codes) },
  };
}

function describe(operation: RestOperation): OperationObject {
  const input = jsonSchemaOf(operation.input, "input");
  const parameters = parametersOf(operation, input);
  const requestBody = bodyOf(operation, input);
  return {
    operationId: operation.procedure.replace(".", "_"),
    summary: operation.summary,
    description: `${operation.summary}. The same as the tRPC procedure \`${operation.procedure}\`.`,
    tags: [operation.procedure.split(".")[0] ?? "api"],
    security: securityOf(operation),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(requestBody === undefined ? {} : { requestBody }),
    responses: responsesOf(operation),
  };
}

function securityOf({ access, takesCookie }: RestOperation): Record<string, string[]>[] {
  if (access === "user") return [{ accessToken: [] }];
  if (access === "service") return [{ serviceKey: [] }];
  return takesCookie ? [{}, { refreshCookie: [] }] : [];
}

function parametersOf(operation: RestOperation, input: JsonSchema): ParameterObject[] {
  const parameters: ParameterObject[] = [];
  for (const [name, schema] of Object.entries(input.properties ?? {})) {
    const inPath = operation.pathParameters.includes(name);
    if (!inPath && operation.method !== "GET") continue;
    const required = inPath || (input.required?.includes(name) ?? false);
    parameters.push({ name, in: inPath ? "path" : "query", required, schema });
    if (name === "lastEventId")
      parameters.push({
        name: "Last-Event-ID",
        in: "header",
        required: false,
        description: "As browsers send it when they reconnect; wins over lastEventId.",
        schema,
      });
  }
  return parameters;
}

function bodyOf(operation: RestOperation, input: JsonSchema): OperationObject["requestBody"] {
  if (operation.method === "GET") return undefined;
  const schema = withoutProperties(input, operation.pathParameters);
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (!alternatives && Object.keys(schema.properties ?? {}).length === 0) return undefined;
  // A browser that tries it has the cookie; a made-up token would get in the way.
  const example = operation.takesCookie ? {} : exampleOf(schema, "", true);
  return {
    required: alternatives !== undefined || (schema.required?.length ?? 0) > 0,
    content: { "application/json": { schema, example } },
  };
}

function withoutProperties(schema: JsonSchema, names: readonly string[]): JsonSchema {
  if (names.length === 0) return schema;
  return {
    ...schema,
    properties: Object.fromEntries(
      Object.entries(schema.properties ?? {}).filter(([name]) => !names.includes(name)),
    ),
    required: (schema.required ?? []).filter((name) => !names.includes(name)),
  };
}
