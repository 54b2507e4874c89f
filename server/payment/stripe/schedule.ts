// Subscription schedules, in the terms of the Stripe port.

/**
 * What a phase or phase item says besides price, quantity, dates and discounts, in Stripe's terms. An update that does
 * not repeat it removes it.
 */
export type PhaseTerms = Readonly<Record<string, unknown>>;

/** An item of a phase. */
interface PhaseItem {
  readonly priceId: string;
  readonly quantity: number;
  readonly terms: PhaseTerms;
}

/** The same, with the discounts it keeps. */
export interface NewPhaseItem extends PhaseItem {
  readonly discountIds: readonly string[];
}

/** A subscription schedule as it is now: what its subscription becomes, phase by phase. */
export interface StripeSchedule {
  readonly id: string;
  /** Its subscription, even after the schedule has released it. */
  readonly subscriptionId: string | null;
  /** Whether it still controls the subscription. */
  readonly isRunning: boolean;
  /** When its current phase began; null when there is none. */
  readonly currentStart: Date | null;
  /** Whether the subscription ends with its last phase. */
  readonly endsSubscription: boolean;
  readonly phases: readonly {
    readonly startsAt: Date;
    readonly items: readonly PhaseItem[];
    readonly terms: PhaseTerms;
  }[];
}

/** The current phase and what follows it. */
export interface NewPhases {
  readonly scheduleId: string;
  readonly startsAt: Date;
  readonly changeAt: Date;
  /** Whether the subscription is in a free trial until `changeAt`. If not repeated, the trial ends immediately. */
  readonly isTrial: boolean;
  /** For both phases. */
  readonly discountIds: readonly string[];
  /** For both phases. */
  readonly terms: PhaseTerms;
  readonly now: readonly NewPhaseItem[];
  readonly after: readonly NewPhaseItem[] | null;
}
