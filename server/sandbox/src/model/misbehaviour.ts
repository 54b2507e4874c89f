// How the stand-in model misbehaves on request, for tests and for looking at how an app bears it.

/** What may go wrong with a request. */
export const MODEL_FAULTS = [
  /** 429 with Retry-After, before any output. */
  "rateLimit",
  /** 500, before any output. */
  "error",
  /** 401: the key is refused. */
  "unauthorized",
  /** Never answers. */
  "hang",
  /** Answers 200, sends some output and then nothing more. */
  "stall",
  /** The connection is cut in the middle. */
  "cut",
  /** The stream ends in the middle without a finish reason. */
  "breakOff",
  /** A chunk that is no JSON, in the middle. */
  "malformed",
  /** An error object in the middle of the stream. */
  "errorInStream",
  /** The model refuses to answer, in words. */
  "refusal",
  /** The provider's filter ends the answer in the middle. */
  "contentFilter",
  /** The provider ends the answer in the middle because it is long enough. */
  "length",
  /** 200 with a page of HTML. */
  "html",
  /** Text where JSON was asked for. */
  "notJson",
  /** 400 for any `response_format`. */
  "noResponseFormat",
] as const;

/** One of MODEL_FAULTS. */
export type ModelFault = (typeof MODEL_FAULTS)[number];

/** An order for the next requests. */
export interface ModelFaultOrder {
  fault: ModelFault;
  /** Requests it applies to; Infinity = until cleared. Defaults to 1. */
  times?: number;
  /** Pieces of output before it strikes in the middle. Defaults to 5. */
  afterChunks?: number;
}
