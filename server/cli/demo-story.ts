// Owns how the demo tells its story: numbered steps, checked facts, and a loud end at the first that does not hold.
import { isDeepStrictEqual, styleText } from "node:util";

/** A fact that did not hold. */
export class BrokenStep extends Error {}

export interface Story {
  chapter(title: string): void;
  /** Runs one step and prints it with what `tell` was given. */
  step(title: string, work: (tell: (line: string) => void) => Promise<void>): Promise<void>;
  readonly steps: () => number;
}

const colour = process.stdout.isTTY;
const paint = (style: "bold" | "dim" | "green" | "red" | "cyan", text: string) =>
  colour ? styleText(style, text) : text;

/** Holds or ends the story: what was expected and what was there are both named. */
export function check(fact: string, expected: unknown, got: unknown): void {
  if (isDeepStrictEqual(expected, got)) return;
  throw new BrokenStep(
    `${fact}\n     expected ${JSON.stringify(expected)}\n     got      ${JSON.stringify(got)}`,
  );
}

export function createStory(): Story {
  let count = 0;
  return {
    steps: () => count,
    chapter: (title) => process.stdout.write(`\n${paint("bold", title)}\n`),
    async step(title, work) {
      count += 1;
      const lines: string[] = [];
      try {
        await work((line) => lines.push(line));
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        process.stdout.write(`  ${paint("red", "✗")} ${title}\n     ${why}\n`);
        throw error instanceof BrokenStep
          ? new BrokenStep(`Step ${count}, "${title}": ${why}`)
          : new Error(`Step ${count}, "${title}": ${why}`, { cause: error });
      }
      process.stdout.write(`  ${paint("green", "✓")} ${title}\n`);
      for (const line of lines) process.stdout.write(`      ${paint("dim", line)}\n`);
    },
  };
}

/** Looks until `look` says what is expected; after 10 s the story ends. What arrives by webhook takes a moment. */
export async function arrives(
  fact: string,
  expected: unknown,
  look: () => Promise<unknown>,
): Promise<void> {
  const deadlineMs = Date.now() + 10_000;
  let got = await look();
  while (!isDeepStrictEqual(expected, got) && Date.now() < deadlineMs) {
    await new Promise((resolve) => setTimeout(resolve, 40));
    got = await look();
  }
  check(fact, expected, got);
}
