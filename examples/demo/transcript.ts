// The demo's transcript: numbered acts, a line for each step, and what is said when a step does not hold.
import { isDeepStrictEqual, styleText } from "node:util";
import { TRPCClientError } from "@trpc/client";
import type { AppErrorData } from "../../shared/src/errors.ts";

/** What an answer must at least hold. Lists are compared whole, objects by the named fields alone. */
export type Expected<T> = T extends readonly (infer Item)[]
  ? readonly Expected<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]?: Expected<T[Key]> }
    : T;

/** What came of a step, in a few words. */
type Told<T> = string | ((answer: T) => string);

/** How the acts tell the story. Every function checks; a step that does not hold ends the story. */
export interface Transcript {
  /** Begins the next act. */
  act(title: string): void;
  /** Does `work`, which must answer at least `expected`; writes `does → told`. Answers what `work` did. */
  step<T>(
    does: string,
    work: () => T | Promise<T>,
    expected: Expected<T>,
    told: Told<T>,
  ): Promise<T>;
  /** Does `work`, which the server must refuse with at least `expected`. */
  refused(
    does: string,
    work: () => Promise<unknown>,
    expected: Partial<AppErrorData>,
    told: string,
  ): Promise<void>;
  /** Steps that held so far. */
  readonly held: number;
}

/** A step that did not hold. The transcript has told it already. */
export class StepFailed extends Error {}

/** Columns for what is done; what came of it stands beside it, or below it in a narrow window. */
const WIDTH = 54;
const NARROW = 112;

/** Writes to stdout; in colour only where a person reads it who did not say NO_COLOR. */
export function createTranscript(): Transcript & {
  say(line: string): void;
  /** The story broke off: what its last step still has to tell is of no interest. */
  breakOff(): void;
} {
  const colours = process.stdout.isTTY && !process.env["NO_COLOR"];
  const isNarrow = process.stdout.isTTY && process.stdout.columns < NARROW;
  const paint = (style: Parameters<typeof styleText>[0], text: string) =>
    colours ? styleText(style, text) : text;
  const say = (line: string) => {
    process.stdout.write(`${line}\n`);
  };
  const tell = (line: string) => {
    if (!isOver) say(line);
  };
  let isOver = false;
  let acts = 0;
  let held = 0;

  function failed(does: string, lines: readonly (readonly [string, string])[]): StepFailed {
    tell(`    ${paint("red", "✗")} ${paint("bold", does)}`);
    for (const [name, text] of lines) tell(`        ${paint("dim", name.padEnd(9))} ${text}`);
    return new StepFailed(`Act ${acts}: ${does}`);
  }

  async function step<T>(
    does: string,
    work: () => T | Promise<T>,
    expected: Expected<T>,
    told: Told<T>,
  ): Promise<T> {
    let answer: T;
    try {
      answer = await work();
    } catch (error) {
      throw failed(does, [
        ["expected", JSON.stringify(expected)],
        ["got", explain(error)],
      ]);
    }
    const seen = narrowedTo(expected, answer);
    if (!isDeepStrictEqual(seen, expected))
      throw failed(does, [
        ["expected", JSON.stringify(expected)],
        ["got", JSON.stringify(seen) ?? "nothing"],
      ]);
    held += 1;
    const outcome = typeof told === "string" ? told : told(answer);
    const what = isNarrow ? `${does}\n       ` : does.padEnd(WIDTH);
    tell(`    ${paint("green", "✓")} ${what} ${paint("dim", "→")} ${outcome}`);
    return answer;
  }

  return {
    say,
    breakOff() {
      isOver = true;
    },
    get held() {
      return held;
    },
    act(title) {
      acts += 1;
      tell(`\n ${paint("cyan", String(acts).padStart(2))}  ${paint("bold", title)}`);
    },
    step,
    async refused(does, work, expected, told) {
      await step<unknown>(does, () => refusalOf(work), expected, told);
    },
  };
}

/** The `data.app` of what `work` is refused with; null when it is not refused. Any other error is thrown on. */
async function refusalOf(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work();
    return null;
  } catch (error) {
    const data: unknown = error instanceof TRPCClientError ? error.data : null;
    if (typeof data === "object" && data !== null && "app" in data) return data.app;
    throw error;
  }
}

/** `got` without the fields that `expected` does not speak of. */
function narrowedTo(expected: unknown, got: unknown): unknown {
  if (Array.isArray(expected) && Array.isArray(got))
    return got.map((item: unknown, index) => narrowedTo(expected[index], item));
  if (!isRecord(expected) || !isRecord(got)) return got;
  return Object.fromEntries(
    Object.entries(expected).map(([key, inner]) => [key, narrowedTo(inner, got[key])]),
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!(error instanceof TRPCClientError)) return error.stack ?? error.message;
  return `${error.message} ${JSON.stringify(error.data ?? {})}`;
}
