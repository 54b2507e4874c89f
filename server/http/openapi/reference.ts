// The API reference as a page of Markdown, from the same operations as the OpenAPI document.
import { ERROR_CODES } from "../../../shared/src/errors.ts";
import { type JsonSchema, jsonSchemaOf } from "../rest/json-schema.ts";
import { REST_OPERATIONS, type RestOperation } from "../rest/operations.ts";
import { codesByStatus } from "./responses.ts";

const ACCESS: Readonly<Record<RestOperation["access"], string>> = {
  public: "anybody",
  user: "signed-in users",
  admin: "administrators",
  service: "workers with a service key",
};

/** Returns the whole reference: what each operation takes and returns, and the error codes it may respond with. */
export function apiReference(): string {
  const routerOf = ({ procedure }: RestOperation) => procedure.split(".")[0] ?? "";
  const parts = [...new Set(REST_OPERATIONS.map(routerOf))].map((router) => {
    const operations = REST_OPERATIONS.filter((operation) => routerOf(operation) === router);
    return [`## ${router}`, ...operations.map(describeOperation)].join("\n\n");
  });
  return [...parts, errorTable()].join("\n\n");
}

function describeOperation(operation: RestOperation): string {
  const { method, path, procedure, summary, access, type } = operation;
  const how = type === "subscription" ? ", as server-sent events" : "";
  const codes = new Set([...codesByStatus(operation).values()].flat());
  return [
    `### \`${method} ${path}\``,
    `${summary}. Procedure \`${procedure}\`, for ${ACCESS[access]}${how}.`,
    [
      `- takes \`${typeText(jsonSchemaOf(operation.input, "input"))}\``,
      `- ${type === "subscription" ? "sends" : "answers"} \`${typeText(jsonSchemaOf(operation.output, "output"))}\``,
      `- refuses with ${[...codes].map((code) => `\`${code}\``).join(", ")}`,
    ].join("\n"),
  ].join("\n\n");
}

function errorTable(): string {
  const rows = Object.entries(ERROR_CODES).map(
    ([code, { httpStatus }]) => `| \`${code}\` | ${httpStatus} |`,
  );
  return ["## Errors", ["| code | status |", "|---|---|", ...rows].join("\n")].join("\n\n");
}

/** Writes a JSON schema in TypeScript notation. */
function typeText(schema: JsonSchema): string {
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives) return [...new Set(alternatives.map(typeText))].join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array") return arrayText(typeText(schema.items ?? {}));
  if (schema.type === "object" || schema.properties) return objectText(schema);
  return Array.isArray(schema.type) ? schema.type.join(" | ") : (schema.type ?? "unknown");
}

function arrayText(item: string): string {
  return item.includes(" | ") ? `(${item})[]` : `${item}[]`;
}

function objectText({ properties = {}, required = [] }: JsonSchema): string {
  const fields = Object.entries(properties).map(
    ([name, schema]) => `${name}${required.includes(name) ? "" : "?"}: ${typeText(schema)}`,
  );
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}
