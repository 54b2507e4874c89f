// Validates what a procedure streams: every value against its schema, as `.output()` does for a single answer.
import { isTrackedEnvelope, tracked, type TrackedEnvelope } from "@trpc/server";
import { z } from "zod";

/**
 * Returns a schema for an async iterable of `value`s, for `.output()` of a procedure that is an async generator.
 * A value that does not match ends the stream with an error and stops the source.
 */
export function streamOf<Value extends z.ZodType>(value: Value) {
  return parsedStream((item: z.input<Value>): z.output<Value> => value.parse(item));
}

/** The same for a stream of `tracked(id, value)` events, which a client can resume after the last id it received. */
export function trackedStreamOf<Value extends z.ZodType>(value: Value) {
  return parsedStream((item: TrackedEnvelope<z.input<Value>>): TrackedEnvelope<z.output<Value>> => {
    if (!isTrackedEnvelope(item)) throw new TypeError("An event without an id");
    return tracked(item[0], value.parse(item[1]));
  });
}

function parsedStream<Item, Parsed>(parse: (item: Item) => Parsed) {
  return z
    .custom<AsyncIterable<Item>>(isAsyncIterable, { error: "Not a stream" })
    .transform(async function* parsed(source): AsyncGenerator<Parsed, void, unknown> {
      for await (const item of source) yield parse(item);
    });
}

/** Whether a handler returned a stream. */
export function isAsyncIterable(data: unknown): data is AsyncIterable<unknown> {
  return typeof data === "object" && data !== null && Symbol.asyncIterator in data;
}
