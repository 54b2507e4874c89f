// What people do with money at our server: buy, subscribe, come back from paying, change and end plans, refund.
import type { ClientJournal, KeyRecord } from "./client-journal.ts";
import { spread } from "./faults.ts";
import type { World } from "./world.ts";

const PACKAGES = ["pkg_small", "pkg_medium"] as const;
const PLANS = [
  ["plan_basic_month", 3],
  ["plan_pro_month", 2],
  ["plan_team_month", 1],
  ["plan_basic_year", 1],
] as const;

/** The steps. `pay` presses the button on Stripe's page. */
export function createPaymentSteps(
  world: World,
  journal: ClientJournal,
  pay: (sessionId: string) => void,
) {
  const { random, store, stripe, scheduler } = world;
  let made = 0;

  function remember(userId: string, kind: "package" | "plan", sessionId: string): void {
    if (!journal.sessions.some((known) => known.sessionId === sessionId))
      journal.sessions.push({ userId, kind, sessionId });
  }

  const pause = (mostMs: number): Promise<void> =>
    new Promise((resolve) => {
      scheduler.after(random.between(0, mostMs), null, resolve);
    });

  /** The whole way: choose, pay, come back; the events are told meanwhile. */
  async function shop(kind: "package" | "plan"): Promise<void> {
    const userId = world.someUser();
    for (const sessionId of await open(kind, userId)) {
      await pause(2_000);
      pay(sessionId);
      await pause(400);
      if (random.chance(0.7)) await confirm(sessionId);
      if (kind === "package" || random.chance(0.6)) continue;
      // Second thoughts, while the news of the first are still on their way.
      await pause(spread(random, 10, 4_000));
      const thoughts = [
        () => changePlan(userId),
        () => ofSubscriber("cancel", userId),
        () => ofSubscriber("cancelChange", userId),
        () => ofSubscriber("end", userId),
      ];
      await random.pick(thoughts)();
    }
  }

  /** Opens a checkout, sometimes with two clicks at once; answers the sessions people were sent to. */
  async function open(kind: "package" | "plan", userId: string): Promise<ReadonlySet<string>> {
    const opened = new Set<string>();
    const offer = kind === "package" ? random.pick(PACKAGES) : random.weighted(PLANS);
    const click = async () => {
      const answer = await world.ask(`${userId} wants ${offer}`, ({ payment }) =>
        kind === "package"
          ? payment.checkout(userId, { packageId: offer })
          : payment.subscribe(userId, { planId: offer }),
      );
      if (answer.kind !== "done") return;
      const { sessionId } = answer.value;
      const [row] = store.rows<{ userId: string }>(
        "SELECT userId FROM checkouts WHERE stripeSessionId = ?",
        sessionId,
      );
      if (row?.userId !== userId) world.broke(`session ${sessionId} was answered and is not kept`);
      remember(userId, kind, sessionId);
      opened.add(sessionId);
    };
    await Promise.all(Array.from({ length: random.chance(0.25) ? 2 : 1 }, click));
    return opened;
  }

  async function confirm(wanted?: string): Promise<void> {
    const known = journal.sessions.filter(({ sessionId }) => sessionId === (wanted ?? sessionId));
    if (known.length === 0) return;
    const { userId, sessionId } = world.recent(known);
    const stranger = random.chance(0.05);
    const caller = stranger ? world.userIds.find((id) => id !== userId) : userId;
    const answer = await world.ask(`${caller} is back from ${sessionId}`, ({ payment }) =>
      payment.confirm(caller ?? userId, { sessionId }),
    );
    if (stranger && answer.kind === "done") world.broke("somebody else's session was confirmed");
    if (answer.kind !== "done" || answer.value.status !== "SUCCESS") return;
    if (answer.value.creditsAdded > 0 && granted(sessionId) < answer.value.creditsAdded)
      world.broke(`${sessionId} was confirmed and its credits are not there`);
  }

  function granted(sessionId: string): number {
    const [row] = store.rows<{ credits: number | null }>(
      `SELECT SUM(g.amount) AS credits FROM checkouts c JOIN credit_grants g ON g.sourceId = c.id
       AND g.source IN ('PURCHASE', 'SUBSCRIPTION') WHERE c.stripeSessionId = ?`,
      sessionId,
    );
    return row?.credits ?? 0;
  }

  async function changePlan(userId: string): Promise<void> {
    const [planId] = random.pick(PLANS);
    const shown = await world.ask(`${userId} looks at ${planId}`, ({ payment }) =>
      payment.previewPlanChange(userId, { planId }),
    );
    if (shown.kind !== "done") return;
    const { previewToken } = shown.value;
    await world.ask(`${userId} changes to ${planId}`, ({ payment }) =>
      payment.changePlan(userId, { planId, previewToken }),
    );
  }

  async function refund(): Promise<void> {
    const paid = store.rows<{ id: string; userId: string; amount: number }>(
      "SELECT id, userId, amount FROM payments WHERE paidAt IS NOT NULL AND amount > 0 ORDER BY id",
    );
    if (paid.length === 0) return;
    const payment = world.recent(paid);
    const known = journal.keys.filter(
      ({ kind, userId }) => kind === "refund" && userId === payment.id,
    );
    const again = known.length > 0 && random.chance(0.4) ? world.recent(known) : null;
    const record = again ?? newRefund(payment);
    if (again !== null) journal.again(again);
    const { amount, key } = record;
    const answer = await world.ask(`refund ${payment.id} ${key} ${amount}`, (server) =>
      server.payment.refundPayment({
        paymentId: payment.id,
        idempotencyKey: key,
        actorId: "admin",
        ...(amount === 0 ? {} : { amountMinorUnits: amount }),
      }),
    );
    const wrong = journal.heard(record, answer, ({ refundId }) => ({ id: refundId, first: false }));
    if (wrong !== null) world.broke(wrong);
    if (answer.kind === "done" && !stripe.tables.refunds.has(answer.value.refundId))
      world.broke(`refund ${answer.value.refundId} was acknowledged and Stripe has none`);
  }

  function newRefund(payment: { id: string; amount: number }): KeyRecord {
    made += 1;
    const amount = random.chance(0.3) ? 0 : random.between(1, payment.amount);
    // Refunds are an administrator's: their keys belong to the payment.
    const of = { userId: payment.id, kind: "refund" as const, amount, key: `refund-${made}` };
    return journal.begin(of, scheduler.nowMs);
  }

  async function ofSubscriber(
    what: "cancel" | "resume" | "cancelChange" | "end",
    userId: string,
  ): Promise<void> {
    const live = () =>
      store
        .rows<{ id: string }>(
          "SELECT stripeSubscriptionId AS id FROM subscriptions WHERE liveKey = ?",
          userId,
        )
        .map(({ id }) => id);
    const before = live();
    const answer = await world.ask(`${userId} ${what}s the plan`, async ({ payment }) => {
      if (what === "cancel") await payment.cancelSubscription(userId);
      else if (what === "resume") await payment.resumeSubscription(userId);
      else if (what === "cancelChange") await payment.cancelPlanChange(userId);
      else await payment.endSubscription(userId);
    });
    if (answer.kind !== "done" || what !== "end") return;
    const left = live().filter((id) => before.includes(id));
    if (left.length > 0) world.broke(`${left.join()} was said to be ended and is live`);
  }

  return {
    shop: () => shop("package"),
    shopPlan: () => shop("plan"),
    buy: async () => void (await open("package", world.someUser())),
    subscribe: async () => void (await open("plan", world.someUser())),
    confirm: () => confirm(),
    changePlan: () => changePlan(world.someUser()),
    refund,
    cancel: () => ofSubscriber("cancel", world.someUser()),
    resume: () => ofSubscriber("resume", world.someUser()),
    cancelChange: () => ofSubscriber("cancelChange", world.someUser()),
    end: () => ofSubscriber("end", world.someUser()),
  };
}
