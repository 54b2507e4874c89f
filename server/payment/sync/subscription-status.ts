// What Stripe's subscription statuses mean here.

/** The statuses that end a subscription for good. */
const ENDED = new Set(["canceled", "incomplete_expired"]);

/** Whether a subscription in this status still binds the user: at most one such per user. */
export function isLive(status: string): boolean {
  return !ENDED.has(status);
}

/** Whether paid-for months go on being granted. Past due grants nothing. */
export function isGranting(status: string): boolean {
  return status === "active" || status === "trialing";
}
