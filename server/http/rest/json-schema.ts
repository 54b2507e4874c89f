// The contract's zod schemas as JSON Schema, for the OpenAPI document and for reading query parameters.
import { z } from "zod";

/** A JSON schema, as far as this server looks into it. */
export interface JsonSchema {
  $ref?: string;
  type?: string | string[];
  description?: string;
  format?: string;
  pattern?: string;
  enum?: readonly unknown[];
  const?: unknown;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  properties?: Record<string, JsonSchema>;
  additionalProperties?: boolean | JsonSchema;
  required?: string[];
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  [keyword: string]: unknown;
}

/** The JSON schema of what goes into or comes out of a procedure. */
export function jsonSchemaOf(schema: z.ZodType, io: "input" | "output"): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io,
    unrepresentable: "any",
    override: ({ jsonSchema }) => {
      // What every integer of JavaScript has says nothing.
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      // The format says it already.
      if (jsonSchema.format === "date-time" || jsonSchema.format === "date")
        delete jsonSchema.pattern;
      // Validators disagree on Unicode properties; few compile with the flag they need.
      if (/\\p\{/i.test(jsonSchema.pattern ?? "")) delete jsonSchema.pattern;
      jsonSchema.allOf = jsonSchema.allOf?.filter(
        (part) => typeof part !== "object" || !/\\p\{/i.test(String(part.pattern ?? "")),
      );
      if ((jsonSchema.allOf?.length ?? 0) === 0) delete jsonSchema.allOf;
    },
  });
  return rest as JsonSchema;
}
