// What the definition of one environment variable says.
import type { z } from "zod";

/** Something wrong with a value. Problems stop the start and warnings are logged; "weak" is a problem in production only. */
export interface Finding {
  readonly level: "problem" | "weak" | "warning";
  /** The sentence after the variable's name: what is wrong and how to mend it. Never repeats a secret. */
  readonly text: string;
}

/** Makes a finding that stops the start. */
export const problem = (text: string): Finding => ({ level: "problem", text });

/** Makes a finding that stops the start in production. */
export const weak = (text: string): Finding => ({ level: "weak", text });

/** Makes a finding that is logged. */
export const warning = (text: string): Finding => ({ level: "warning", text });

/** What a check may know beside the value. */
export interface CheckContext {
  readonly production: boolean;
  /** How to get a good value, for the end of a sentence. */
  readonly howToGet: string;
}

/** One environment variable: everything that is known of it. */
export interface Variable {
  /** Reads the text; the output is what Config is made from. An unset variable without a default is undefined here. */
  readonly schema: z.ZodType;
  /** The text used when the variable is unset or empty. */
  readonly default?: string;
  /** For docs/reference/environment.md and `.env.example`. */
  readonly description: string;
  /** Shown commented out in `.env.example`; defaults to the default. */
  readonly example?: string;
  /** Whether production refuses to start without it; `unlessLocal`: by the rule `localhost`, which lets a trial on one machine go. */
  readonly required?: boolean | "unlessLocal";
  /** How to get a value, as in "set it to the output of …"; defaults to the description. */
  readonly howToGet?: string;
  /** The parts of its text that no log and no message may show. */
  readonly secrets?: (text: string) => readonly string[];
  /** Rules about this value alone; those between variables are in rules.ts. */
  readonly check?: (text: string, context: CheckContext) => readonly Finding[];
}

/** A heading of docs/reference/environment.md and `.env.example`, and the variables under it by name. */
export interface VariableGroup<
  Variables extends Record<string, Variable> = Record<string, Variable>,
> {
  readonly title: string;
  readonly variables: Variables;
}

/** Returns the group as it is, with the type of each variable kept. */
export function defineGroup<const Variables extends Record<string, Variable>>(
  title: string,
  variables: Variables,
): VariableGroup<Variables> {
  return { title, variables };
}
