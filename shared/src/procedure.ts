// Owns the three words a contract is written in: query, mutation and subscription.
import type { z } from "zod";

/** One procedure of the contract: its kind and the zod schemas of what goes in and what comes out. */
export interface ProcedureContract<
  Kind extends "query" | "mutation" | "subscription",
  Input extends z.ZodType,
  Output extends z.ZodType,
> {
  readonly kind: Kind;
  readonly input: Input;
  readonly output: Output;
}

/** Any procedure, whatever its schemas. */
export type AnyProcedureContract = ProcedureContract<
  "query" | "mutation" | "subscription",
  z.ZodType,
  z.ZodType
>;

interface Shapes<Input extends z.ZodType, Output extends z.ZodType> {
  input: Input;
  output: Output;
}

/** A read: GET on the wire, safe to repeat. */
export function query<Input extends z.ZodType, Output extends z.ZodType>(
  shapes: Shapes<Input, Output>,
): ProcedureContract<"query", Input, Output> {
  return { kind: "query", ...shapes };
}

/** A write: POST on the wire. */
export function mutation<Input extends z.ZodType, Output extends z.ZodType>(
  shapes: Shapes<Input, Output>,
): ProcedureContract<"mutation", Input, Output> {
  return { kind: "mutation", ...shapes };
}

/** A stream of `output` values over server-sent events. */
export function subscription<Input extends z.ZodType, Output extends z.ZodType>(
  shapes: Shapes<Input, Output>,
): ProcedureContract<"subscription", Input, Output> {
  return { kind: "subscription", ...shapes };
}
