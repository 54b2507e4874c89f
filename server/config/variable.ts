// The definition of one environment variable, and what may be found wrong with its value.
import type { z } from "zod";

/** Something wrong with a value. Problems prevent the start, warnings are logged; "weak" is a problem in production. */
export interface Finding {
  readonly level: "problem" | "weak" | "warning";
  /** The sentence after the variable's name: what is wrong and how to fix it. Never repeats a secret. */
  readonly text: string;
}

/** Makes a finding that prevents the start. */
export const problem = (text: string): Finding => ({ level: "problem", text });

/** Makes a finding that prevents the start in production and is logged elsewhere. */
export const weak = (text: string): Finding => ({ level: "weak", text });

/** Makes a finding that is logged. */
export const warning = (text: string): Finding => ({ level: "warning", text });

/** What a check is given besides the value. */
export interface CheckContext {
  readonly production: boolean;
  /** How to get a good value, for the end of a sentence. */
  readonly howToGet: string;
}

/** Everything that is known about one environment variable. */
export interface Variable {
  /** Parses the text into what Config is made from. An unset variable without a default is passed in as undefined. */
  readonly schema: z.ZodType;
  /** The text used when the variable is unset or empty. */
  readonly default?: string;
  /** For docs/reference/environment.md and `.env.example`. */
  readonly description: string;
  /** Shown commented out in `.env.example`; defaults to the default. */
  readonly example?: string;
  /** Whether production requires it; `unlessLocal`: unless rule `localhost` permits a local trial. */
  readonly required?: boolean | "unlessLocal";
  /** How to get a value, as in "set it to the output of …"; defaults to the description. */
  readonly howToGet?: string;
  /** Returns the parts of its text that no log and no message may show. */
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
