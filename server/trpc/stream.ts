// Owns checking what a procedure streams: every value against its schema, as `.output()` does for a single answer.
import { z } from "zod";

/**
 * A schema for an async iterable of `value`s, for `.output()` of a procedure that is an async generator.
 * A value that does not fit ends the stream with an error, and the source is told to stop.
 */
export function streamOf<Value extends z.ZodType>(value: Value) {
  return z
    .custom<AsyncIterable<z.input<Value>>>(isAsyncIterable, { error: "Not a stream" })
    .transform(async function* parsed(source): AsyncGenerator<z.output<Value>, void, unknown> {
      for await (const item of source) yield value.parse(item);
    });
}

/** Whether a handler answered with a stream. */
export function isAsyncIterable(data: unknown): data is AsyncIterable<unknown> {
  return typeof data === "object" && data !== null && Symbol.asyncIterator in data;
}
