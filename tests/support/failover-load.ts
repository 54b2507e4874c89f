// A load of spends, holds and reads on a running server while its database comes and goes, and the book of what was answered.
import { setTimeout as sleep } from "node:timers/promises";
import { summarise } from "../bench/load.ts";
import type { SignedIn } from "./server.ts";
import { SERVICE_KEY } from "./server-env.ts";
import { until } from "./until.ts";

const SPENDERS = 12;
const HOLDERS = 3;
/** Somebody else comes this often, however long those before them are kept waiting. */
const PASSER_BY_EVERY_MS = 50;
/** Three seconds is the promise; the rest is for two cores that run four database servers beside it. */
const REFUSAL_WITHIN_MS = 3_500;
const ANSWER_WITHIN_MS = 15_000;
const HEALTH_WITHIN_MS = 2_000;
const BEAT_MS = 10;
const HOLD_CREDITS = 10;
const SETTLED_CREDITS = 7;

/** One spend as its client knows it: null means that it was refused or not answered, so it may or may not be there. */
export interface AskedSpend {
  readonly user: SignedIn;
  transactionId: string | null;
}

/** One hold as the worker knows it. */
export interface AskedHold {
  readonly userId: string;
  holdId: string | null;
  /** `perhaps`: asked for, and no answer that says so. */
  settled: "no" | "perhaps" | "yes";
}

/** What was asked and answered. */
export interface Book {
  readonly spends: Map<string, AskedSpend>;
  readonly holds: Map<string, AskedHold>;
  /** By user: the last number of their name that was acknowledged. */
  readonly names: Map<string, number>;
  /** Sentences about answers that nobody may get. */
  readonly wrong: string[];
}

/** A load under way. */
export type FailoverLoad = ReturnType<typeof startFailoverLoad>;

const ENDED_AFTER_MS = 1_000;

/**
 * Starts the load. Half of the clients repeat what was refused at once, with the same key; the others leave it in doubt.
 * `healthyUrl` is that of a server which never ends.
 */
export function startFailoverLoad(url: string, users: readonly SignedIn[], healthyUrl = url) {
  const book: Book = { spends: new Map(), holds: new Map(), names: new Map(), wrong: [] };
  let successes = 0;
  /** When the spend began that was answered last. */
  let spendBeganMs = 0;
  let refusals = 0;
  let lastRefusalMs = 0;
  let stopping = false;
  let made = 0;
  // A machine that is busy with something else holds the beats back as it does the server: such time counts for nobody.
  let beats = 0;
  const beating = setInterval(() => (beats += 1), BEAT_MS);

  function wrong(sentence: string): void {
    // The first ones tell the story.
    if (book.wrong.length < 20) book.wrong.push(sentence);
  }

  /** The answer's data, its status where `known` says it is fine, null when it was refused for the outage's sake. */
  async function call(
    path: string,
    token: string,
    input: object | undefined,
    known: readonly number[] = [200],
  ): Promise<{ status: number; data: Record<string, unknown> } | null> {
    const startedAtMs = Date.now();
    const beatsBefore = beats;
    try {
      const answer = await fetch(`${url}/api/trpc/${path}`, {
        method: input === undefined ? "GET" : "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
        ...(input === undefined ? {} : { body: JSON.stringify(input) }),
      });
      const text = await answer.text();
      const tookMs = (beats - beatsBefore) * BEAT_MS;
      if (known.includes(answer.status)) {
        successes += 1;
        if (path === "credit.spend") spendBeganMs = startedAtMs;
        const body = JSON.parse(text) as { result?: { data: Record<string, unknown> } };
        return { status: answer.status, data: body.result?.data ?? {} };
      }
      refusals += 1;
      lastRefusalMs = Date.now();
      const retryAfter = Number(answer.headers.get("retry-after"));
      if (answer.status !== 503 || !(retryAfter >= 1) || !text.includes("SERVICE_UNAVAILABLE"))
        wrong(`${path}: ${answer.status}, Retry-After ${retryAfter}, ${text.slice(0, 300)}`);
      if (tookMs > REFUSAL_WITHIN_MS) wrong(`${path}: refused after ${tookMs} ms`);
    } catch (error) {
      wrong(`${path}: no answer after ${Date.now() - startedAtMs} ms: ${String(error)}`);
    }
    return null;
  }

  async function spend(key: string, user: SignedIn) {
    const input = { feature: "chat-flash", idempotencyKey: key, metadata: { key } };
    const answer = await call("credit.spend", user.accessToken, input);
    if (answer === null) return null;
    const { transactionId, replayed } = answer.data;
    if (typeof transactionId !== "string") wrong(`credit.spend: no transactionId for ${key}`);
    return { transactionId: String(transactionId), replayed: replayed === true };
  }

  const userAt = (index: number) => users[index % users.length] as SignedIn;

  /** A new spend, entered in the book; each call asks for it once and answers whether it is there. */
  function newSpend(): () => Promise<boolean> {
    made += 1;
    const key = `spend-${made}`;
    const asked: AskedSpend = { user: userAt(made), transactionId: null };
    book.spends.set(key, asked);
    return async () => {
      asked.transactionId = (await spend(key, asked.user))?.transactionId ?? null;
      return asked.transactionId !== null;
    };
  }

  async function spender(index: number): Promise<void> {
    while (!stopping) {
      const ask = newSpend();
      let isThere: boolean;
      do {
        isThere = await ask();
        await sleep(isThere ? 8 : 100);
      } while (!isThere && index % 2 === 0 && !stopping);
    }
  }

  async function passersBy(): Promise<void> {
    const waiting: Promise<boolean>[] = [];
    while (!stopping) {
      waiting.push(newSpend()());
      await sleep(PASSER_BY_EVERY_MS);
    }
    await Promise.all(waiting);
  }

  async function holder(): Promise<void> {
    while (!stopping) {
      made += 1;
      const asked: AskedHold = { userId: userAt(made).userId, holdId: null, settled: "no" };
      const key = `hold-${made}`;
      book.holds.set(key, asked);
      while (asked.holdId === null && !stopping) {
        const input = { userId: asked.userId, amount: HOLD_CREDITS, idempotencyKey: key };
        const answer = await call("service.reserve", SERVICE_KEY, { ...input, ttlSeconds: 86_400 });
        if (answer !== null) asked.holdId = String(answer.data["holdId"]);
        await sleep(answer === null ? 100 : 8);
      }
      while (asked.holdId !== null && asked.settled !== "yes" && !stopping) {
        const input = { holdId: asked.holdId, amount: SETTLED_CREDITS };
        // Only where an earlier answer is missing may it have been settled before.
        const known = asked.settled === "perhaps" ? [200, 409] : [200];
        asked.settled = "perhaps";
        if ((await call("service.settle", SERVICE_KEY, input, known)) !== null)
          asked.settled = "yes";
        await sleep(asked.settled === "yes" ? 8 : 100);
      }
    }
  }

  /** Reads, and writes outside of the ledger's lane. */
  async function neighbour(): Promise<void> {
    for (let number = 1; !stopping; number += 1) {
      const { accessToken, userId } = userAt(number);
      const name = await call("user.update", accessToken, { name: `Name ${number}` });
      if (name !== null) book.names.set(userId, number);
      await call("credit.balance", accessToken, undefined);
      await call("credit.history", accessToken, undefined);
      await sleep(50);
    }
  }

  /** /health touches no dependency: it never notices. */
  async function prober(): Promise<void> {
    while (!stopping) {
      const beatsBefore = beats;
      const status = await fetch(`${healthyUrl}/health`, {
        signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
      })
        .then(async (answer) => {
          await answer.body?.cancel();
          return answer.status;
        })
        .catch(String);
      const tookMs = (beats - beatsBefore) * BEAT_MS;
      if (status !== 200 || tookMs > HEALTH_WITHIN_MS)
        wrong(`/health: ${status} after ${tookMs} ms`);
      await sleep(100);
    }
  }

  const clients = [
    ...Array.from({ length: SPENDERS }, (_, index) => spender(index)),
    ...Array.from({ length: HOLDERS }, holder),
    passersBy(),
    neighbour(),
    prober(),
  ];
  return {
    book,
    get refusals() {
      return refusals;
    },
    /** Resolves after `count` more successes; rejects after `withinMs`. */
    flows(count: number, withinMs = 20_000) {
      const wanted = successes + count;
      const otherwise = () => `Fewer than ${count} successes in ${withinMs} ms`;
      return until(() => successes >= wanted, { withinMs, everyMs: 20, otherwise });
    },
    /**
     * Waits until credits are spent again and refusals have ended for a while; rejects when that takes more than
     * `withinMs` from `usableAtMs`. Answers how long after `faultAtMs` the last refusal was, in milliseconds.
     */
    async recovery(faultAtMs: number, usableAtMs: number, withinMs: number): Promise<number> {
      // A spend that begins now has to come through; those that hung may only have been waited for.
      const comesThrough = () => spendBeganMs >= usableAtMs;
      await until(() => comesThrough() && Date.now() - lastRefusalMs >= ENDED_AFTER_MS, {
        withinMs: usableAtMs + withinMs + ENDED_AFTER_MS - Date.now(),
        everyMs: 20,
        otherwise: () =>
          `Errors go on ${withinMs} ms after the database could be used again: a spend comes through: ${comesThrough()}, last refusal ${Date.now() - lastRefusalMs} ms ago`,
      });
      return Math.max(0, lastRefusalMs - faultAtMs);
    },
    /** Ends after the calls under way. */
    async stop() {
      stopping = true;
      await Promise.all(clients);
      clearInterval(beating);
    },
    /** One spend outside of the load, for the repeats at the end. */
    spend,
  };
}

/** One line: how long errors lasted, at the median and at worst. docs/decisions/0014 quotes it. */
export function recoveryLine(name: string, errorsMs: readonly number[]): string {
  const { operations, p50Ms } = summarise(errorsMs);
  return `${name} ${operations} times: errors for ${p50Ms} / ${Math.max(0, ...errorsMs)} ms`;
}
