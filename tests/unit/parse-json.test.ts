// JSON that is refused before any schema sees it: nested deeper than 32, or with prototype keys in any spelling.
import { describe, expect, it } from "vitest";
import { assertSafeJson, parseJson } from "../../server/http/body.ts";

const nested = (depth: number) => `${"[".repeat(depth)}"[[["${"]".repeat(depth)}`;

describe.each([
  ["parseJson", parseJson],
  ["assertSafeJson", assertSafeJson],
])("%s", (_name, read) => {
  it("takes nesting of 32, and brackets within text", () => {
    expect(() => read(nested(32))).not.toThrow();
  });

  it.each([
    ["nesting of 33", nested(33), "32 deep"],
    ["a prototype key", '{"__proto__":{}}', "Prototype keys"],
    ["a prototype key inside a list", '{"a":[{"__proto__":1}]}', "Prototype keys"],
    ["an escaped prototype key", '{"\\u005f_proto__":1}', "Prototype keys"],
  ])("throws VALIDATION_FAILED for %s", (_what, text, message) => {
    expect(() => read(text)).toThrow(message);
  });

  it("takes the word as a value", () => {
    expect(() => read('{"a":"__proto__"}')).not.toThrow();
  });
});
