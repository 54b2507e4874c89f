// Every environment variable the server reads. Each is defined once, in a file of variables/. These definitions are the
// source of the parser, docs/reference/environment.md, `.env.example`, the list of secrets and the hints at misspelled
// names.
import type { z } from "zod";
import type { Variable, VariableGroup } from "./variable.ts";
import { AI } from "./variables/ai.ts";
import { BACKENDS } from "./variables/backends.ts";
import { BROWSER } from "./variables/browser.ts";
import { CREDITS } from "./variables/credits.ts";
import { GOOGLE } from "./variables/google.ts";
import { OPERATION } from "./variables/operation.ts";
import { PROCESS } from "./variables/process.ts";
import { STRIPE } from "./variables/stripe.ts";
import { TOKENS } from "./variables/tokens.ts";
import { TRACING } from "./variables/tracing.ts";

/** The groups in the order of `.env.example`. */
export const GROUPS: readonly VariableGroup[] = [
  PROCESS,
  BACKENDS,
  TOKENS,
  GOOGLE,
  STRIPE,
  BROWSER,
  CREDITS,
  AI,
  OPERATION,
  TRACING,
];

const DEFINITIONS = {
  ...PROCESS.variables,
  ...BACKENDS.variables,
  ...TOKENS.variables,
  ...GOOGLE.variables,
  ...STRIPE.variables,
  ...BROWSER.variables,
  ...CREDITS.variables,
  ...AI.variables,
  ...OPERATION.variables,
  ...TRACING.variables,
};

/** The name of a variable. */
export type VariableName = keyof typeof DEFINITIONS;

/** The parsed value of each variable. */
export type Values = {
  readonly [Name in VariableName]: z.output<(typeof DEFINITIONS)[Name]["schema"]>;
};

/** Every variable by its name. */
export const VARIABLES: Readonly<Record<VariableName, Variable>> = DEFINITIONS;

/** All names, in order. */
export const VARIABLE_NAMES = Object.keys(DEFINITIONS) as VariableName[];

/** The default text of each variable that has one. */
export const DEFAULTS: Readonly<Record<string, string>> = Object.fromEntries(
  VARIABLE_NAMES.flatMap((name) => {
    const { default: text } = VARIABLES[name];
    return text === undefined ? [] : [[name, text] as const];
  }),
);
