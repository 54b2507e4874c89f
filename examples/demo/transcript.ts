// The demo's transcript: numbered acts, a line for each step, and a report when a step fails.
import { isDeepStrictEqual, styleText } from "node:util";
import { TRPCClientError } from "@trpc/client";
import type { AppErrorData } from "../../shared/src/errors.ts";

/** What a result must at least contain. Lists are compared in full, objects only by the named fields. */
export type Expected<T> = T extends readonly (infer Item)[]
  ? readonly Expected<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]?: Expected<T[Key]> }
    : T;

/** The outcome of a step, in a few words. */
type Told<T> = string | ((answer: T) => string);

/** How the acts tell the story. Every step is a check, and the first that fails ends the story. */
export interface Transcript {
  /** Starts the next act. */
  act(title: string): void;
  /** Runs `work`, whose result must contain `expected`, and prints `does → told`. Returns the result. */
  step<T>(
    does: string,
    work: () => T | Promise<T>,
    expected: Expected<T>,
    told: Told<T>,
  ): Promise<T>;
  /** Runs `work`, which the server must refuse with an error that contains `expected`. */
  refused(
    does: string,
    work: () => Promise<unknown>,
    expected: Partial<AppErrorData>,
    told: string,
  ): Promise<void>;
  /** The number of steps that have succeeded so far. */
  readonly held: number;
}

/** A step failed. The transcript has already printed it. */
export class StepFailed extends Error {}

/** The width of the first column, the action. The outcome is printed beside it, or below it in a narrow window. */
const WIDTH = 54;
const NARROW = 112;

/** Creates a transcript that writes to stdout, in colour on a terminal unless NO_COLOR is set. */
export function createTranscript(): Transcript & {
  say(line: string): void;
  /** Suppresses further output of the acts, because the story has been cut short. */
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

/** The `data.app` of the error with which `work` is refused; null when it succeeds. Rethrows any other error. */
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

/** `got` without the fields that `expected` does not mention. */
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
