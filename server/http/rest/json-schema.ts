// The contract's zod schemas as JSON Schema, for the OpenAPI document and for reading query parameters.
import { z } from "zod";

/** A JSON schema, with the keywords this server reads. */
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

/** Returns the JSON schema of a procedure's input or output. */
export function jsonSchemaOf(schema: z.ZodType, io: "input" | "output"): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io,
    unrepresentable: "any",
    override: ({ jsonSchema }) => {
      // Bounds that every JavaScript integer has carry no information.
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      // Implied by the format.
      if (jsonSchema.format === "date-time" || jsonSchema.format === "date")
        delete jsonSchema.pattern;
      // Validators disagree on Unicode properties; few compile patterns with the flag they need.
      if (/\\p\{/i.test(jsonSchema.pattern ?? "")) delete jsonSchema.pattern;
      jsonSchema.allOf = jsonSchema.allOf?.filter(
        (part) => typeof part !== "object" || !/\\p\{/i.test(String(part.pattern ?? "")),
      );
      if ((jsonSchema.allOf?.length ?? 0) === 0) delete jsonSchema.allOf;
    },
  });
  return rest as JsonSchema;
}
