// Shapes that the parts of payments share with their callers.

/** What a webhook delivery came to. `refused` = 400, `retry` = 5xx. */
export type EventReceipt =
  | { readonly outcome: "processed" | "ignored" | "known" }
  | { readonly outcome: "refused"; readonly reason: string }
  | { readonly outcome: "retry"; readonly reason: string };

/** What reconcile found and mended. */
export interface ReconcileReport {
  readonly eventsSeen: number;
  readonly eventsRecovered: number;
  readonly paymentsRepaired: number;
  readonly invoicesRepaired: number;
  readonly subscriptionsRepaired: number;
  readonly checkoutsClosed: number;
  /** What could not be mended, a sentence each. */
  readonly problems: readonly string[];
}
