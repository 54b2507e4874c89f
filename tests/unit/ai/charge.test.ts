// The price of a run that did not complete.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { partialCharge } from "../../../server/ai/charge.ts";

const chat = (characters: number, outputTokens: number | null = null) => ({
  characters,
  outputTokens,
  slides: 0,
});
const deck = (slides: number) => ({ characters: 0, outputTokens: null, slides });

describe("the charge of a chat that broke off", () => {
  it.each([
    ["nothing before the first output", 5, chat(0), 0],
    ["nothing before the first output, whatever the provider counted", 5, chat(0, 700), 0],
    ["1 credit at least", 5, chat(1), 1],
    ["a quarter of its characters as tokens of 1,000, rounded up", 10, chat(1_600), 4],
    ["exactly a credit, not a hair more", 5, chat(800), 1],
    ["the next credit from the next character on", 5, chat(801), 2],
    ["by the tokens the provider reported, where it did", 10, chat(4, 500), 5],
    ["the price at most, for however long an answer", 5, chat(1_000_000), 5],
  ])("is %s", (_rule, price, produced, credits) => {
    expect(partialCharge(price, produced, null)).toBe(credits);
  });
});

describe("the charge of a deck that broke off", () => {
  it.each([
    ["nothing before the first slide", deck(0), 8, 0],
    ["its slides' share of those expected, rounded up", deck(3), 8, 4],
    ["half for half", deck(4), 8, 5],
    ["the price at most, for more slides than expected", deck(9), 8, 10],
    ["the price for the one slide expected", deck(1), 1, 10],
  ])("is %s", (_rule, produced, expected, credits) => {
    expect(partialCharge(10, produced, expected)).toBe(credits);
  });
});

it("never falls as more is produced, and never passes the price", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000 }),
      fc.nat(8_000),
      fc.nat(500),
      (price, a, more) => {
        const less = partialCharge(price, chat(a), null);
        const greater = partialCharge(price, chat(a + more), null);
        expect(greater).toBeGreaterThanOrEqual(less);
        expect(greater).toBeLessThanOrEqual(price);
      },
    ),
  );
});
