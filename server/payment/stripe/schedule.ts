// Subscription schedules as the port to Stripe speaks of them.

/** What a phase or an item of one says besides price, quantity, dates and discounts, in Stripe's words: not said again, it is gone. */
export type PhaseTerms = Readonly<Record<string, unknown>>;

/** An item of a phase. */
interface PhaseItem {
  readonly priceId: string;
  readonly quantity: number;
  readonly terms: PhaseTerms;
}

/** The same, and the discounts that go on with it. */
export interface NewPhaseItem extends PhaseItem {
  readonly discountIds: readonly string[];
}

/** A subscription schedule as it is now: what its subscription becomes, phase by phase. */
export interface StripeSchedule {
  readonly id: string;
  /** Its subscription, also after the schedule let go of it. */
  readonly subscriptionId: string | null;
  /** Whether it still decides over the subscription. */
  readonly isRunning: boolean;
  /** When its running phase began; null when none runs. */
  readonly currentStart: Date | null;
  /** Whether the subscription ends with its last phase. */
  readonly endsSubscription: boolean;
  readonly phases: readonly {
    readonly startsAt: Date;
    readonly items: readonly PhaseItem[];
    readonly terms: PhaseTerms;
  }[];
}

/** The running phase and what follows it. */
export interface NewPhases {
  readonly scheduleId: string;
  readonly startsAt: Date;
  readonly changeAt: Date;
  /** The subscription is in a free trial until then: without saying so again the trial would end at once. */
  readonly isTrial: boolean;
  /** Of both phases. */
  readonly discountIds: readonly string[];
  /** Of both phases. */
  readonly terms: PhaseTerms;
  readonly now: readonly NewPhaseItem[];
  readonly after: readonly NewPhaseItem[] | null;
}
