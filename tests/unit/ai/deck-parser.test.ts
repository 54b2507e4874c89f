// Parses slides out of a model's JSON while it is still being written.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createDeckParser } from "../../../server/ai/deck-parser.ts";

const slides = [
  { title: 'One {"}', bullets: ["a ] b", 'c\\"d'], notes: "say } it" },
  { title: "Two", bullets: [] },
  { title: "Drei 😀", bullets: ["ä"] },
];
const text = JSON.stringify({ title: "Deck", slides });

function parseInPieces(whole: string, cuts: readonly number[]) {
  const parser = createDeckParser();
  const found = [];
  let from = 0;
  for (const cut of [...new Set(cuts)].sort((a, b) => a - b)) {
    found.push(...parser.push(whole.slice(from, cut)));
    from = cut;
  }
  found.push(...parser.push(whole.slice(from)));
  return found;
}

describe("the deck parser", () => {
  it("finds every slide, however the text is cut", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(text.length)), (cuts) => {
        expect(parseInPieces(text, cuts)).toEqual(slides);
      }),
    );
  });

  it("gives a slide as soon as it is whole", () => {
    const parser = createDeckParser();
    const end = text.indexOf("},{") + 1;
    expect(parser.push(text.slice(0, end - 1))).toEqual([]);
    expect(parser.push(text.slice(end - 1, end))).toEqual([slides[0]]);
  });

  it("skips what a model writes around the JSON", () => {
    expect(parseInPieces(`Here you are:\n\`\`\`json\n${text}\n\`\`\`\nEnjoy!`, [5, 20])).toEqual(
      slides,
    );
  });

  it("is not misled by braces in a sentence before it, and tells when the JSON is closed", () => {
    const parser = createDeckParser();
    expect(parser.push("Use {braces} here: {")).toEqual([]);
    expect(parser.push(text.slice(1, -1))).toEqual(slides);
    expect(parser.isWhole).toBe(false);
    parser.push("}");
    expect(parser.isWhole).toBe(true);
  });

  it("cuts what is too long for a slide", () => {
    const long = JSON.stringify({
      slides: [
        { title: "t".repeat(600), bullets: Array.from({ length: 40 }, () => "b".repeat(3_000)) },
      ],
    });
    const [slide] = parseInPieces(long, []);
    expect(slide?.title).toHaveLength(500);
    expect(slide?.bullets).toHaveLength(30);
    expect(slide?.bullets[0]).toHaveLength(2_000);
  });

  it("leaves no half of a character behind at a cut", () => {
    const long = JSON.stringify({ slides: [{ title: `${"t".repeat(499)}😀`, bullets: [] }] });
    expect(parseInPieces(long, [])[0]?.title).toBe("t".repeat(499));
  });

  it("shows that half of a character stood alone in what the model wrote", () => {
    const halves = String.raw`{"slides": [{"title": "a\ud83db", "bullets": ["\ude00"]}]}`;
    expect(parseInPieces(halves, [])).toEqual([{ title: "a\u{fffd}b", bullets: ["\u{fffd}"] }]);
  });

  it.each([
    ["broken JSON", '{"slides": [}'],
    ["a slide that is text", '{"slides": ["One"]}'],
    ["a slide without a title", '{"slides": [{"bullets": []}]}'],
    ["bullets that are numbers", '{"slides": [{"title": "x", "bullets": [1]}]}'],
  ])("throws AI_PROVIDER_ERROR for %s", (_what, broken) => {
    expect(() => parseInPieces(broken, [])).toThrow(
      expect.objectContaining({ code: "AI_PROVIDER_ERROR" }),
    );
  });
});
