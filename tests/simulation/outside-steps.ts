// What happens around our servers: people pay, banks refund and dispute, cards fail, processes die, time passes.
import type { CheckoutSession } from "../../server/sandbox/src/stripe/objects/types.ts";
import { isApiError } from "../../server/sandbox/src/stripe/api/wire.ts";
import { spread } from "./faults.ts";
import type { World } from "./world.ts";
import { JOBS } from "./server.ts";

const DAY_MS = 86_400_000;

/** Does what happens at Stripe without us; what makes no sense is refused, as there. */
export type AtStripe = (what: string, work: () => void) => void;

/** The steps. */
export function createOutsideSteps(world: World) {
  const { random, scheduler, faults, stripe, note, one } = world;
  const { tables, control } = stripe;

  const all = <T>(table: Map<string, T>, fits: (row: T) => boolean): T[] =>
    [...table.values()].filter(fits);

  const atStripe: AtStripe = (what, work) => {
    note(`at Stripe: ${what}`);
    try {
      control.tick();
      work();
    } catch (error) {
      if (!isApiError(error)) throw error;
      note(`at Stripe: refused (${error.message})`);
    }
  };

  function pay(session: CheckoutSession): void {
    const outcome =
      session.mode === "subscription"
        ? "paid"
        : random.weighted([
            ["paid", 8] as const,
            ["delayed", 2] as const,
            ["declined", 1] as const,
          ]);
    atStripe(`${session.id} ${outcome}`, () => control.completeCheckout(session.id, outcome));
  }

  function decide(disputeId: string): void {
    const outcome = random.pick(["won", "lost"] as const);
    atStripe(`${disputeId} ${outcome}`, () => control.closeDispute(disputeId, outcome));
  }

  const openSessions = () => all(tables.sessions, ({ status }) => status === "open");
  const charged = () => all(tables.charges, ({ status }) => status === "succeeded");

  return {
    atStripe,
    paySession: (sessionId: string) => {
      const session = tables.sessions.get(sessionId);
      if (session !== undefined) pay(session);
    },
    pay: () => one(openSessions(), pay),
    settleDelayed: () => {
      for (const session of tables.sessions.values())
        if (session.status === "complete" && session.payment_status === "unpaid")
          atStripe(`${session.id} is settled`, () =>
            control.settleDelayedPayment(session.id, random.chance(0.7)),
          );
    },
    expire: () =>
      one(openSessions(), ({ id }) => atStripe(`${id} expires`, () => control.expireCheckout(id))),
    bankRefund: () =>
      one(charged(), (charge) => {
        const outcome = random.pick(["succeeded", "pending", "failing"] as const);
        // Small parts, so that there is something left for the next.
        const amount = random.between(1, Math.ceil(charge.amount / random.pick([1, 5])));
        atStripe(`${charge.id} ${outcome} refund of ${amount}`, () =>
          control.refund(charge.id, { amount, outcome }),
        );
      }),
    settleRefund: () =>
      one(
        all(tables.refunds, ({ status }) => status === "pending"),
        ({ id }) => {
          const succeeds = random.chance(0.5);
          atStripe(`${id} ${succeeds ? "succeeds" : "fails"}`, () =>
            control.settleRefund(id, succeeds),
          );
        },
      ),
    dispute: () =>
      one(charged(), (charge) => {
        const inquiry = random.chance(0.2);
        atStripe(`${charge.id} is disputed`, () => {
          const { id } = control.openDispute(charge.id, { inquiry });
          if (random.chance(0.5))
            scheduler.after(random.between(10, 60_000), null, () => decide(id));
        });
      }),
    decideDispute: () =>
      one(
        all(tables.disputes, ({ status }) => /needs_response|under_review/.test(status)),
        ({ id }) => decide(id),
      ),
    card: () => {
      const customers = [...tables.customers.keys()];
      if (customers.length === 0) return;
      const id = random.pick(customers);
      const card = random.pick(["ok", "failing"] as const);
      atStripe(`${id} card ${card}`, () => control.setCard(id, card));
    },
    cancelThere: () =>
      one(
        all(tables.subscriptions, ({ status }) => status !== "canceled"),
        ({ id }) => atStripe(`${id} is cancelled`, () => control.cancelSubscription(id)),
      ),
    job: async () => {
      const name = random.pick(JOBS);
      await world.ask(`job ${name}`, ({ jobs }) => jobs.runNow(name));
    },
    crash: () => {
      const slot = random.between(0, 1);
      world.kill(slot);
      if (random.chance(0.3)) world.kill(1 - slot);
    },
    outage: () => {
      const ms = random.between(100, 8_000);
      note(`the database is away for ${ms} ms`);
      faults.outage(scheduler.nowMs + ms);
    },
    /** How far time moves on with this step. */
    passMs: (): number =>
      random.weighted([
        [() => spread(random, 1_000, 3_600_000), 4] as const,
        [() => random.between(1, 48) * 3_600_000, 2] as const,
        [() => random.between(2, 40) * DAY_MS, 2] as const,
      ])(),
  };
}
