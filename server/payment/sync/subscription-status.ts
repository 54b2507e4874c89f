// What Stripe's subscription statuses mean here.

/** The statuses that end a subscription for good. */
const ENDED = new Set(["canceled", "incomplete_expired"]);

/** Whether a subscription in this status is live; a user has at most one of those. */
export function isLive(status: string): boolean {
  return !ENDED.has(status);
}

/** Whether paid months continue to be granted. A past due subscription grants nothing. */
export function isGranting(status: string): boolean {
  return status === "active" || status === "trialing";
}
