// What a run that did not complete costs: the share it produced, rounded up (docs/concepts.md, "Run").
import type { Progress } from "./ai.types.ts";

/** Output of a chat that counts as a whole answer. */
const TOKENS_OF_A_WHOLE_ANSWER = 1_000;
const CHARACTERS_PER_TOKEN = 4;

/** What the charge goes by. */
type Produced = Pick<Progress, "characters" | "outputTokens" | "slides">;

/**
 * Credits for what was produced of a run of `priceCredits`: 0 before the first output; then the price times the share,
 * rounded up, at least 1, at most the price. `expectedSlides` = null for a chat.
 */
export function partialCharge(
  priceCredits: number,
  produced: Produced,
  expectedSlides: number | null,
): number {
  const [part, whole] =
    expectedSlides === null
      ? [chatQuarterTokens(produced), TOKENS_OF_A_WHOLE_ANSWER * CHARACTERS_PER_TOKEN]
      : [produced.slides, Math.max(1, expectedSlides)];
  const hasOutput = expectedSlides === null ? produced.characters > 0 : produced.slides > 0;
  if (!hasOutput) return 0;
  // Integers up to the division: a product of decimals would round a whole credit up by a hair.
  return Math.min(priceCredits, Math.max(1, Math.ceil((priceCredits * part) / whole)));
}

/** Tokens times four, so that the estimate by characters stays whole. */
function chatQuarterTokens({ characters, outputTokens }: Produced): number {
  return outputTokens === null ? characters : outputTokens * CHARACTERS_PER_TOKEN;
}
