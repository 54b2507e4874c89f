// Runs what the billing clock makes due: renewals, retries, cancellations and schedule phases, each at its own time.
import { cancelNow } from "./canceling.ts";
import { unfinished } from "../invoices/invoicing.ts";
import { nextPhaseChange, scheduleOf } from "./phases.ts";
import { changePhase, finishSchedule } from "./scheduling.ts";
import { collect, currentPeriod, ENDED, endPendingUpdate, renew } from "./subscribing.ts";
import type { Subscription } from "../objects/types-billing.ts";
import { announceTrialEnd, noticeDue } from "./trials.ts";
import type { World } from "../state/world.ts";

const MAX_STEPS = 200_000;

type Due = { at: number; run(): void };

function invoiceDues(world: World, subscription: Subscription): Due[] {
  return unfinished(world, subscription.id).flatMap((invoice): Due[] => {
    const at =
      invoice.status === "draft"
        ? invoice.automatically_finalizes_at
        : invoice.next_payment_attempt;
    return at === null ? [] : [{ at, run: () => void collect(world, invoice) }];
  });
}

/** A schedule's next mid-period phase change (one at the period's end is part of the renewal), or its end. */
function scheduleDue(world: World, subscription: Subscription, end: number): Due | undefined {
  const schedule = scheduleOf(world, subscription);
  if (schedule === undefined) return undefined;
  const next = nextPhaseChange(schedule);
  if (next === undefined) return undefined;
  if (next.phase === undefined) {
    return { at: next.at, run: () => finishSchedule(world, subscription, schedule) };
  }
  const { phase } = next;
  return next.at < end
    ? { at: next.at, run: () => changePhase(world, subscription, schedule, phase) }
    : undefined;
}

function subscriptionDues(world: World, subscription: Subscription): Due[] {
  const { end } = currentPeriod(subscription);
  const dues: Due[] = [];
  const scheduled = scheduleDue(world, subscription, end);
  if (scheduled !== undefined) dues.push(scheduled);
  const notice = noticeDue(world, subscription);
  if (notice !== null) dues.push({ at: notice, run: () => announceTrialEnd(world, subscription) });
  const pending = subscription.pending_update;
  if (pending !== null) {
    dues.push({ at: pending.expires_at, run: () => endPendingUpdate(world, subscription, false) });
  }
  const cancelAt = subscription.cancel_at_period_end ? end : subscription.cancel_at;
  if (cancelAt !== null && cancelAt <= end) {
    dues.push({
      at: cancelAt,
      // Pending items are invoiced when the subscription ends, as at Stripe.
      run: () => cancelNow(world, subscription, { prorate: false, invoiceNow: true }),
    });
  } else dues.push({ at: end, run: () => renew(world, subscription) });
  return dues;
}

function nextDueOf(world: World, subscription: Subscription): Due | undefined {
  const running = !ENDED.has(subscription.status) && subscription.status !== "incomplete";
  const dues = [
    ...invoiceDues(world, subscription),
    ...(running ? subscriptionDues(world, subscription) : []),
  ];
  return dues.reduce<Due | undefined>(
    (best, due) => (best === undefined || due.at < best.at ? due : best),
    undefined,
  );
}

/** Runs everything due by `until` (unix seconds), each step at its due time. Returns the number of steps. */
export function runBillingUntil(world: World, until: number): number {
  for (let steps = 0; steps < MAX_STEPS; steps += 1) {
    let next: Due | undefined;
    for (const subscription of world.tables.subscriptions.values()) {
      const due = nextDueOf(world, subscription);
      if (due !== undefined && due.at <= until && (next === undefined || due.at < next.at))
        next = due;
    }
    if (next === undefined) return steps;
    world.atBillingTime(next.at, next.run);
  }
  throw new Error("The billing clock did not come to rest.");
}
