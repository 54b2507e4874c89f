// Half surrogate pairs are rejected everywhere, and text is cut between characters.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { contract } from "../../shared/src/contract.ts";
import type { AnyProcedureContract } from "../../shared/src/procedure.ts";
import { cutText } from "../../server/lib/text.ts";

const FAMILY = "\u{1f468}\u200d\u{1f469}\u200d\u{1f467}\u200d\u{1f466}";
const half = fc.integer({ min: 0xd800, max: 0xdfff }).map((unit) => String.fromCharCode(unit));
const character = fc.constantFrom(
  "a",
  "é",
  "e\u0301",
  "\u{1f600}",
  FAMILY,
  "\u{1f1e6}\u{1f1f9}",
  "語",
);

/** Returns every field of an input's JSON schema that can hold text. */
function textFields(schema: z.ZodType): string[] {
  const json = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as {
    properties?: Record<string, { type?: string; enum?: unknown[]; anyOf?: { type?: string }[] }>;
  };
  return Object.entries(json.properties ?? {})
    .filter(
      ([, field]) =>
        field.enum === undefined &&
        (field.type === "string" || field.anyOf?.some((one) => one.type === "string")),
    )
    .map(([name]) => name);
}

describe("input", () => {
  const procedures = Object.entries(contract).flatMap(([router, members]) =>
    Object.entries(members as Record<string, AnyProcedureContract>).map(
      ([name, { input }]) => [`${router}.${name}`, input] as const,
    ),
  );
  const fields = procedures.flatMap(([path, input]) =>
    textFields(input).map((field) => [`${path} ${field}`, input, field] as const),
  );

  it("has text to look at", () => {
    expect(fields.length).toBeGreaterThan(20);
  });

  it.each(fields)("refuses half of a surrogate pair in %s", (_, input, field) => {
    fc.assert(
      fc.property(half, fc.constantFrom("", "a", "1"), (unit, around) => {
        const { success, error } = input.safeParse({ [field]: `${around}${unit}${around}` });
        expect(success).toBe(false);
        expect(error?.issues.some(({ path }) => path[0] === field)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it("refuses it anywhere in metadata, in keys too, and takes whole characters", () => {
    const parse = (metadata: unknown) =>
      contract.credit.spend.input.safeParse({
        feature: "chat-flash",
        idempotencyKey: "k",
        metadata,
      });
    fc.assert(
      fc.property(half, (unit) => {
        for (const metadata of [{ a: unit }, { [`k${unit}`]: 1 }, { a: [{ b: `x${unit}` }] }])
          expect(parse(metadata).success).toBe(false);
      }),
    );
    expect(parse({ [FAMILY]: [FAMILY] }).success).toBe(true);
    expect(contract.user.update.input.safeParse({ name: FAMILY }).success).toBe(true);
  });
});

describe("cutText", () => {
  it("returns the longest run of whole characters that fits", () => {
    fc.assert(
      fc.property(
        fc.array(character, { maxLength: 30 }),
        fc.integer({ min: 11, max: 60 }),
        (parts, max) => {
          let expected = "";
          for (const part of parts) {
            if (expected.length + part.length > max) break;
            expected += part;
          }
          const text = parts.join("");
          // Two adjacent flags are two characters; none of the other parts merge.
          expect(cutText(text, max)).toBe(expected);
        },
      ),
    );
  });

  it("returns well-formed text within the length, whatever comes in", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(half, character, fc.constant("\u0301")), { maxLength: 100 }),
        fc.integer({ min: 0, max: 40 }),
        (parts, max) => {
          const cut = cutText(parts.join(""), max);
          expect(cut.length).toBeLessThanOrEqual(max);
          expect(cut).not.toMatch(/\p{Cs}/u);
        },
      ),
    );
  });
});
