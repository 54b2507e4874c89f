// How the stand-in model misbehaves on request, for tests and for seeing how an app copes.

/** What can go wrong with a request. */
export const MODEL_FAULTS = [
  /** 429 with Retry-After, before any output. */
  "rateLimit",
  /** 500, before any output. */
  "error",
  /** 401: the key is rejected. */
  "unauthorized",
  /** Never answers. */
  "hang",
  /** Sends 200 and some output, and then nothing more. */
  "stall",
  /** The connection is cut in the middle. */
  "cut",
  /** The stream ends in the middle without a finish reason. */
  "breakOff",
  /** A chunk that is not JSON, in the middle. */
  "malformed",
  /** An error object in the middle of the stream. */
  "errorInStream",
  /** The model declines to answer, in a `refusal`. */
  "refusal",
  /** The provider's filter ends the answer in the middle. */
  "contentFilter",
  /** The provider cuts the answer off in the middle, at its length limit. */
  "length",
  /** 200 with a page of HTML. */
  "html",
  /** Prose where JSON was requested. */
  "notJson",
  /** 400 for any `response_format`. */
  "noResponseFormat",
] as const;

/** One of MODEL_FAULTS. */
export type ModelFault = (typeof MODEL_FAULTS)[number];

/** An order for the next requests. */
export interface ModelFaultOrder {
  fault: ModelFault;
  /** The number of requests it applies to; Infinity = until cleared. Defaults to 1. */
  times?: number;
  /** The number of output pieces before a mid-stream fault applyMidStreamFault. Defaults to 5. */
  afterChunks?: number;
}
