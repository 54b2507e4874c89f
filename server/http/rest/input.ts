// Assembles a procedure's input from a REST request: path parameters, query or body, and Last-Event-ID.
import type { IncomingMessage } from "node:http";
import { type AppError, invalidField } from "../../lib/errors.ts";
import { isJson, parseJson } from "../body.ts";
import type { BodyReader } from "../body-reader.ts";
import { type JsonSchema, jsonSchemaOf } from "./json-schema.ts";
import type { RestOperation } from "./operations.ts";

/** Reads the input of one operation. Throws VALIDATION_FAILED, PAYLOAD_TOO_LARGE, SERVICE_UNAVAILABLE, or a 415. */
export type InputReader = (
  request: IncomingMessage,
  pathParameters: Readonly<Record<string, unknown>>,
) => Promise<unknown>;

/** Creates the reader for an operation; its schema is inspected once. */
export function createInputReader(
  operation: RestOperation,
  bodies: Pick<BodyReader, "text">,
): InputReader {
  const properties = jsonSchemaOf(operation.input, "input").properties ?? {};
  return async (request, pathParameters) => {
    const given =
      operation.method === "GET" ? readQuery(request, properties) : await readBody(request, bodies);
    const merged = withPath(operation, given, pathParameters);
    return "lastEventId" in properties ? withLastEventId(merged, request) : merged;
  };
}

/** Reads the query: each name at most once, numbers and booleans converted as the schema has them. */
function readQuery(
  request: IncomingMessage,
  properties: Readonly<Record<string, JsonSchema>>,
): unknown {
  const url = request.url ?? "";
  const start = url.indexOf("?");
  const input = new Map<string, unknown>();
  for (const [name, value] of new URLSearchParams(start === -1 ? "" : url.slice(start + 1))) {
    if (input.has(name)) throw refused(name, "Give it only once.");
    const schema = Object.hasOwn(properties, name) ? properties[name] : undefined;
    input.set(name, typed(value, schema));
  }
  return input.size === 0 ? undefined : Object.fromEntries(input);
}

/** Converts a query value to its schema's type. A value of another form stays text, for the schema to refuse. */
function typed(value: string, schema: JsonSchema | undefined): unknown {
  const type = schema?.type;
  if ((type === "integer" || type === "number") && /^-?\d{1,15}$/.test(value)) return Number(value);
  if (type === "boolean" && /^(?:true|false)$/.test(value)) return value === "true";
  return value;
}

/** Reads the JSON body; an empty one counts as no input. A body of another type is refused, whatever it holds. */
async function readBody(
  request: IncomingMessage,
  bodies: Pick<BodyReader, "text">,
): Promise<unknown> {
  const text = await bodies.text(request);
  if (text === "") return undefined;
  if (!isJson(request))
    throw Object.assign(new Error("The body is not JSON."), { statusCode: 415 });
  return parseJson(text);
}

function withPath(
  { pathParameters: names }: RestOperation,
  input: unknown,
  values: Readonly<Record<string, unknown>>,
): unknown {
  if (names.length === 0) return input;
  // Anything but an object is left for the schema to refuse.
  if (input !== undefined && !isObject(input)) return input;
  for (const name of names)
    if (input !== undefined && Object.hasOwn(input, name))
      throw refused(name, "Give it in the path only.");
  return { ...input, ...Object.fromEntries(names.map((name) => [name, values[name]])) };
}

/** The header wins: a reconnecting browser sends it along with the address it first used. */
function withLastEventId(input: unknown, request: IncomingMessage): unknown {
  const lastEventId = request.headers["last-event-id"];
  if (typeof lastEventId !== "string" || lastEventId === "") return input;
  return isObject(input) || input === undefined ? { ...input, lastEventId } : input;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refused(name: string, sentence: string): AppError {
  const field = name.slice(0, 50);
  return invalidField(field, sentence, `Please check the input: ${field}: ${sentence}`);
}
