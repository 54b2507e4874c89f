// What an incomplete run costs: the share it produced, rounded up (docs/concepts.md, "Run").
import type { Progress } from "./ai.types.ts";

/** Chat output of this length counts as a whole answer. */
const TOKENS_OF_A_WHOLE_ANSWER = 1_000;
const CHARACTERS_PER_TOKEN = 4;

/** What the charge is based on. */
type Produced = Pick<Progress, "characters" | "outputTokens" | "slides">;

/**
 * Returns the credits for what a run priced at `priceCredits` has produced: 0 before the first output, then the price
 * times the share, rounded up, at least 1 and at most the price. `expectedSlides` is null for a chat.
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
  // Integers up to the division, so that no floating-point error is rounded up to a whole credit.
  return Math.min(priceCredits, Math.max(1, Math.ceil((priceCredits * part) / whole)));
}

/** Tokens times four, so that an estimate from characters remains an integer. */
function chatQuarterTokens({ characters, outputTokens }: Produced): number {
  return outputTokens === null ? characters : outputTokens * CHARACTERS_PER_TOKEN;
}
