// Writes src/procedure-types.ts: the inputs and outputs of the contract as plain TypeScript. A consumer's checker then
// reads a few thousand types, where zod's classes would make it expand fifty thousand (docs/decisions/0001). Run by
// `npm run types:write`; tests/unit/router.test.ts proves the result equal to what zod infers.
import { writeFileSync } from "node:fs";
import { z } from "zod";
import { contract } from "./src/contract.ts";
import type { AnyProcedureContract } from "./src/procedure.ts";

interface Schema {
  readonly [keyword: string]: unknown;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  /** The type that `.meta({ "x-typescript" })` gives a schema that JSON Schema cannot describe. */
  readonly "x-typescript"?: string;
}

/** Returns the TypeScript type of a JSON Schema. Throws for an unknown one: a wrong type would be worse than none. */
function print(schema: Schema, indent: string): string {
  if (schema["x-typescript"] !== undefined) return schema["x-typescript"];
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return union(schema.enum.map((one) => JSON.stringify(one)));
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives !== undefined) return union(alternatives.map((one) => print(one, indent)));
  if (Array.isArray(schema.type))
    return union(schema.type.map((type: string) => print({ ...schema, type }, indent)));
  switch (schema.type) {
    case "string":
    case "boolean":
    case "null":
      return String(schema.type);
    case "integer":
    case "number":
      return "number";
    case "array":
      return arrayOf(print(schema.items ?? {}, indent));
    case "object":
      return printObject(schema, indent);
    case undefined:
      return "unknown";
    default:
      throw new Error(`No TypeScript for ${JSON.stringify(schema)}`);
  }
}

function printObject(schema: Schema, indent: string): string {
  const { properties, additionalProperties } = schema;
  if (properties === undefined || Object.keys(properties).length === 0) {
    const isRecord = properties === undefined && typeof additionalProperties === "object";
    return isRecord
      ? `Record<string, ${print(additionalProperties, indent)}>`
      : "Record<string, never>";
  }
  const inner = `${indent}  `;
  const lines = Object.entries(properties).map(([name, property]) => {
    const isRequired = schema.required?.includes(name) ?? false;
    const type = print(property, inner);
    return `${inner}${name}${isRequired ? "" : "?"}: ${isRequired ? type : union([type, "undefined"])};`;
  });
  return `{\n${lines.join("\n")}\n${indent}}`;
}

function arrayOf(item: string): string {
  return / \| /.test(item) && !item.startsWith("{") ? `(${item})[]` : `${item}[]`;
}

function union(types: readonly string[]): string {
  return [...new Set(types)].join(" | ");
}

function typeOf(schema: z.ZodType, io: "input" | "output"): string {
  const json = z.toJSONSchema(schema, { io, unrepresentable: "any", reused: "inline" }) as Schema;
  const type = print(json, "    ");
  const isOptional = io === "input" && schema.safeParse(undefined).success;
  return isOptional ? union([type, "undefined"]) : type;
}

function procedure(name: string, { kind, input, output }: AnyProcedureContract): string {
  return [
    `  ${name}: {`,
    `    kind: "${kind}";`,
    `    input: ${typeOf(input, "input")};`,
    `    output: ${typeOf(output, "output")};`,
    "  };",
  ].join("\n");
}

const routers = Object.entries(contract).map(([name, procedures]) => {
  const title = `${name.slice(0, 1).toUpperCase()}${name.slice(1)}Procedures`;
  const entries = Object.entries(procedures as Record<string, AnyProcedureContract>);
  const body = entries.map(([key, value]) => procedure(key, value)).join("\n");
  return {
    name,
    title,
    text: `/** Inputs and outputs of \`${name}\`. */\nexport interface ${title} {\n${body}\n}`,
  };
});

const text = [
  "// Written by `npm run types:write` from the contract (contract.ts); do not edit.",
  'import type { Metadata } from "./credit.ts";',
  "",
  routers.map((one) => one.text).join("\n\n"),
  "",
  "/** Inputs and outputs of every procedure, as plain types. */",
  "export interface ProcedureTypes {",
  ...routers.map(({ name, title }) => `  ${name}: ${title};`),
  "}",
  "",
].join("\n");
writeFileSync(new URL("src/procedure-types.ts", import.meta.url), text);
