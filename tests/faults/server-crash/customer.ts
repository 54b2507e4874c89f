// One customer of a crashing server: sequential actions, each recorded, with retries to resolve doubts.
import { randomUUID } from "node:crypto";
import type { TRPCClient } from "@trpc/client";
import type { StripeControl } from "../../../server/sandbox/src/stripe/control/control.ts";
import { FEATURES } from "../../../shared/src/features.ts";
import type { AppRouter } from "../../../shared/src/router.ts";
import type { Random } from "../../support/seeded-random.ts";
import type { CookieClient } from "./cookie-client.ts";
import type {
  Action,
  Journal,
  KnownHold,
  KnownSession,
  RefundAnswer,
  ReserveAnswer,
  SpendAnswer,
} from "./journal.ts";

type Api = TRPCClient<AppRouter>;

/** What a customer interacts with. */
export interface CustomerWorld {
  readonly journal: Journal;
  /** Resolves while the server accepts requests. */
  readonly door: () => Promise<void>;
  readonly random: Random;
  readonly stripe: StripeControl;
  /** A client with the service key. */
  readonly worker: Api;
  /** An administrator's client. */
  readonly admin: Api;
  readonly packages: readonly { readonly id: string; readonly credits: number }[];
}

const REPEAT_SHARE = 0.15;
/** Far more than any action needs; stops retrying if a server never answers. */
const MAX_ASKS = 40;

/** Creates a customer that acts through `client`. */
export function createCustomer(world: CustomerWorld, client: CookieClient) {
  const { journal, random, stripe, worker, admin } = world;
  const { userId, api } = client;
  const forLater: (() => Promise<void>)[] = [];

  /** Makes one attempt as soon as the server accepts requests. */
  async function attempt<Answer>(name: string, ask: () => Promise<Answer>) {
    await world.door();
    return journal.attempt(name, ask);
  }

  /** Requests a keyed action once and compares the answer with the first one. Returns whether its outcome is known. */
  async function askFor<Answer>(name: string, action: Action<Answer>): Promise<boolean> {
    const told = await attempt(name, action.ask);
    const isFirst = action.asked === 0;
    action.asked += 1;
    if (told.outcome === "inDoubt") return action.outcome !== "inDoubt";
    const known = action.answer;
    if (told.outcome === "refused") {
      if (known === null) action.outcome = "refused";
      else journal.note(`${name} ${action.key}: done, then refused (${told.code})`);
      return true;
    }
    const { answer } = told;
    if (known !== null && action.effectOf(answer) !== action.effectOf(known))
      journal.note(`${name} ${action.key}: two effects of one key`);
    const replayed = replayedOf(answer);
    // The first request is no replay, one after an answer is; one after a doubt may be either.
    if ((isFirst && replayed === true) || (known !== null && replayed === false))
      journal.note(`${name} ${action.key}: replayed ${replayed} at ask ${action.asked}`);
    action.answer ??= answer;
    action.outcome = "acknowledged";
    return true;
  }

  /** Retries until the action's outcome is known, unless chance leaves the doubt for later or forever. */
  async function perform<Answer>(name: string, action: Action<Answer>): Promise<void> {
    const untilKnown = async () => {
      for (let asks = 0; asks < MAX_ASKS; asks += 1) if (await askFor(name, action)) return;
      journal.note(`${name} ${action.key}: never answered`);
    };
    if (!(await askFor(name, action))) {
      const fate = random.next();
      if (fate < 0.5) await untilKnown();
      else if (fate < 0.8) forLater.push(untilKnown);
    } else if (action.outcome === "acknowledged" && random.next() < REPEAT_SHARE) {
      await askFor(name, action);
    }
  }

  function newAction<Answer>(
    key: string,
    ask: () => Promise<Answer>,
    effectOf: (answer: Answer) => string,
  ): Action<Answer> {
    return { userId, key, ask, effectOf, outcome: "inDoubt", answer: null, asked: 0 };
  }

  async function spend(): Promise<void> {
    const idempotencyKey = randomUUID();
    const feature = random.pick(FEATURES);
    const byWorker = random.next() < 0.2;
    const action = newAction<SpendAnswer>(
      `${byWorker ? "svc:worker" : "user"}:${idempotencyKey}`,
      () =>
        byWorker
          ? worker.service.spend.mutate({ userId, feature, idempotencyKey })
          : api.credit.spend.mutate({ feature, idempotencyKey }),
      ({ transactionId, charged, balance }) => `${transactionId} ${charged} ${balance}`,
    );
    journal.spends.push(action);
    await perform("spend", action);
    // A customer who had to retry wants to see the result.
    if (action.answer !== null && (action.asked > 1 || random.next() < 0.05))
      await look(action.answer.transactionId);
  }

  /** Checks that the balance shown is the one after the customer's own entry or a later one, never an earlier one. */
  async function look(transactionId: string): Promise<void> {
    const balance = await attempt("balance", () => api.credit.balance.query());
    if (balance.outcome !== "acknowledged") return;
    const history = await attempt("history", () => api.credit.history.query({ limit: 100 }));
    if (history.outcome !== "acknowledged") return;
    const { logs } = history.answer;
    const own = logs.findIndex(({ id }) => id === transactionId);
    if (own === -1) journal.note(`history: ${transactionId} was acknowledged and is not there`);
    else if (!logs.slice(0, own + 1).some((entry) => entry.balance === balance.answer.credits))
      journal.note(`balance: ${balance.answer.credits} is from before ${transactionId}`);
  }

  async function hold(): Promise<void> {
    const idempotencyKey = randomUUID();
    // Some expire in the middle of everything else.
    const ttlSeconds = random.next() < 0.3 ? random.between(1, 5) : 600;
    const amount = random.between(1, 20);
    const reserve = newAction<ReserveAnswer>(
      `svc:worker:${idempotencyKey}`,
      () => worker.service.reserve.mutate({ userId, amount, idempotencyKey, ttlSeconds }),
      ({ holdId, amount: held }) => `${holdId} ${held}`,
    );
    journal.reserves.push(reserve);
    await perform("reserve", reserve);
    if (reserve.answer === null || random.next() < 0.1) return;
    const { holdId } = reserve.answer;
    const end = random.next() < 0.6 ? random.between(0, amount) : null;
    const known: KnownHold = { holdId, amount, end, isEndAcknowledged: false };
    journal.holds.set(holdId, known);
    for (let asks = 0; asks < MAX_ASKS; asks += 1) {
      const told = await attempt(end === null ? "release" : "settle", async () => {
        if (end === null) await worker.service.release.mutate({ holdId });
        else await worker.service.settle.mutate({ holdId, amount: end });
      });
      known.isEndAcknowledged = told.outcome === "acknowledged";
      // Refused: it had expired, or was ended by the call whose answer was lost.
      if (told.outcome !== "inDoubt" || random.next() < 0.3) return;
    }
  }

  async function buy(): Promise<void> {
    const { id: packageId, credits } = random.pick(world.packages);
    const checkout = await attempt("checkout", () => api.payment.checkout.mutate({ packageId }));
    if (checkout.outcome !== "acknowledged") return;
    const session = sessionOf(checkout.answer.sessionId, credits);
    if (session.state !== "open")
      journal.note(`checkout: ${session.sessionId} is over, yet offered`);
    payOrNot(session);
    if (session.state !== "paid" || random.next() < 0.5) return;
    const { sessionId } = session;
    const told = await attempt("confirm", () => api.payment.confirm.mutate({ sessionId }));
    if (told.outcome !== "acknowledged") return;
    const { status, creditsAdded } = told.answer;
    if (status !== "SUCCESS" || creditsAdded !== credits)
      journal.note(`confirm ${sessionId}: paid, yet ${status} with ${creditsAdded} credits`);
  }

  /** Returns the page behind a session. Declining a card on a new one changes nothing, but reveals what it is for. */
  function sessionOf(sessionId: string, credits: number): KnownSession {
    const known = journal.sessions.get(sessionId);
    if (known !== undefined) return known;
    const page = stripe.completeCheckout(sessionId, "declined");
    const session: KnownSession = {
      sessionId,
      paymentId: page.client_reference_id ?? "",
      userId,
      credits,
      state: "open",
      refundable: page.amount_total ?? 0,
    };
    journal.sessions.set(sessionId, session);
    return session;
  }

  /** What customers do on Stripe's page: most pay, some put it off, some let it expire or pay by debit. */
  function payOrNot(session: KnownSession): void {
    const { sessionId } = session;
    const fate = random.next();
    if (fate < 0.07) return;
    if (fate < 0.1) {
      stripe.expireCheckout(sessionId);
      session.state = "unpaid";
    } else if (fate < 0.2) {
      stripe.completeCheckout(sessionId, "delayed");
      const isPaid = random.next() < 0.5;
      if (isPaid || random.next() < 0.5) stripe.settleDelayedPayment(sessionId, isPaid);
      session.state = isPaid ? "paid" : "unpaid";
    } else {
      stripe.completeCheckout(sessionId, "paid");
      session.state = "paid";
    }
  }

  async function refund(): Promise<void> {
    const mine = [...journal.sessions.values()].filter(
      (session) => session.userId === userId && session.state === "paid" && session.refundable > 0,
    );
    if (mine.length === 0) return buy();
    const session = random.pick(mine);
    const idempotencyKey = randomUUID();
    const { paymentId } = session;
    const amount =
      random.next() < 0.2 ? undefined : Math.min(session.refundable, random.between(1, 400));
    session.refundable -= amount ?? session.refundable;
    const order = newAction<RefundAnswer>(
      `${paymentId}:${idempotencyKey}`,
      () => admin.admin.refundPayment.mutate({ paymentId, amount, idempotencyKey }),
      ({ refundId }) => refundId,
    );
    journal.refunds.push(order);
    await perform("refund", order);
  }

  async function refresh(): Promise<void> {
    await world.door();
    await journal.attempt("refresh", async () => {
      // A customer who was cut off returns with all open tabs simultaneously.
      const came = await client.refresh(client.isRefreshLost ? 2 : 1);
      if (came === "lost") throw new Error("the answer to a refresh was lost");
    });
  }

  const ACTIONS = [
    { share: 0.44, run: spend },
    { share: 0.18, run: hold },
    { share: 0.14, run: buy },
    { share: 0.08, run: refund },
    { share: 0.16, run: refresh },
  ];

  async function actOnce(): Promise<void> {
    if (client.isRefreshLost) return refresh();
    let dice = random.next();
    for (const { share, run } of ACTIONS) {
      dice -= share;
      if (dice < 0) return run();
    }
  }

  return {
    client,
    /** Acts until `isOver`; doubts are resolved immediately, later or never, at random. */
    async act(isOver: () => boolean) {
      while (!isOver()) await actOnce();
    },
    /** Retries everything that was left for later. */
    async clearDoubts() {
      for (let asks = 0; client.isRefreshLost && asks < MAX_ASKS; asks += 1) await refresh();
      for (const ask of forLater.splice(0)) await ask();
    },
  };
}

/** The `replayed` of an answer that has one; otherwise null. */
function replayedOf(answer: unknown): boolean | null {
  if (typeof answer !== "object" || answer === null || !("replayed" in answer)) return null;
  return answer.replayed === true;
}
