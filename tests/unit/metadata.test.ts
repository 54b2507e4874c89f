// The metadata of a spend: any JSON object of up to 4 kB, without prototype keys at any depth.
import { describe, expect, test } from "vitest";
import { metadata } from "../../shared/src/credit.ts";

describe("metadata", () => {
  test.each([
    ["plain values", '{"model":"gemini","tokens":12,"cached":false,"note":null}'],
    ["nested ones", '{"request":{"id":"r1","parts":[1,2,{"a":true}]}}'],
  ])("takes %s", (_name, text) => {
    const value: unknown = JSON.parse(text);
    expect(metadata.parse(value)).toEqual(value);
  });

  test.each([
    ["a prototype key", '{"__proto__":{"admin":true}}'],
    ["a prototype key further down", '{"a":[{"constructor":1}]}'],
    ["more than 4 kB", JSON.stringify({ text: "x".repeat(4_100) })],
    ["a well without a floor", `${'{"a":'.repeat(40)}1${"}".repeat(40)}`],
    ["no object", "[1]"],
  ])("refuses %s", (_name, text) => {
    expect(metadata.safeParse(JSON.parse(text)).success).toBe(false);
  });
});
