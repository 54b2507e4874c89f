// How many calls one tRPC batch may hold.

/** Most calls in one batch; with one more it is refused as a whole, BATCH_TOO_LARGE. */
export const MAX_BATCH_SIZE = 10;

/** What the refusal says. */
export const BATCH_TOO_LARGE = `Send at most ${MAX_BATCH_SIZE} calls in one batch.`;
