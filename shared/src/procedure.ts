// The functions a contract is written with: query, mutation, subscription and trackedSubscription.
import type { z } from "zod";

/** How a procedure is called. `trackedSubscription` = a stream whose events carry ids, so that it can be resumed. */
export type ProcedureKind = "query" | "mutation" | "subscription" | "trackedSubscription";

/** One procedure of the contract: its kind and the zod schemas of its input and output. */
export interface ProcedureContract<
  Kind extends ProcedureKind,
  Input extends z.ZodType,
  Output extends z.ZodType,
> {
  readonly kind: Kind;
  readonly input: Input;
  readonly output: Output;
}

/** Any procedure, whatever its schemas. */
export type AnyProcedureContract = ProcedureContract<ProcedureKind, z.ZodType, z.ZodType>;

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

/**
 * A stream of `output` values over server-sent events, each with an id. A client that lost its connection resumes after
 * the last id it saw (https://trpc.io/docs/server/subscriptions#tracked); `input` must be an object with
 * `lastEventId?`.
 */
export function trackedSubscription<Input extends z.ZodType, Output extends z.ZodType>(
  shapes: Shapes<Input, Output>,
): ProcedureContract<"trackedSubscription", Input, Output> {
  return { kind: "trackedSubscription", ...shapes };
}
