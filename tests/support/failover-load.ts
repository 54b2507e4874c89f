// A load of spends, holds and reads on a server whose database fails and recovers, and a book of the answers.
import { setTimeout as sleep } from "node:timers/promises";
import { summarise } from "../bench/load.ts";
import type { SignedIn } from "./server.ts";
import { SERVICE_KEY } from "./server-env.ts";
import { until } from "./until.ts";

const SPENDERS = 12;
const HOLDERS = 3;
/** A new client arrives this often, no matter how long earlier ones are kept waiting. */
const PASSER_BY_EVERY_MS = 50;
/** The promise is three seconds; the rest allows for two cores running four database servers as well. */
const REFUSAL_WITHIN_MS = 3_500;
const ANSWER_WITHIN_MS = 15_000;
const HEALTH_WITHIN_MS = 2_000;
const BEAT_MS = 10;
const HOLD_CREDITS = 10;
const SETTLED_CREDITS = 7;

/** A spend as its client sees it. Null: it was refused or not answered, so it may or may not have been applied. */
export interface AskedSpend {
  readonly user: SignedIn;
  transactionId: string | null;
}

/** A hold as its worker sees it. */
export interface AskedHold {
  readonly userId: string;
  holdId: string | null;
  /** `perhaps`: requested, but not acknowledged. */
  settled: "no" | "perhaps" | "yes";
}

/** What was requested, and what was answered. */
export interface Book {
  readonly spends: Map<string, AskedSpend>;
  readonly holds: Map<string, AskedHold>;
  /** By user: the number in the last acknowledged name. */
  readonly names: Map<string, number>;
  /** Descriptions of answers that no client should ever receive. */
  readonly wrong: string[];
}

/** A running load. */
export type FailoverLoad = ReturnType<typeof startFailoverLoad>;

const ENDED_AFTER_MS = 1_000;

/**
 * Starts the load. Half of the clients soon retry a refused spend with the same key; the others leave it in doubt.
 * `healthyUrl` is the URL of a server that is never stopped.
 */
export function startFailoverLoad(url: string, users: readonly SignedIn[], healthyUrl = url) {
  const book: Book = { spends: new Map(), holds: new Map(), names: new Map(), wrong: [] };
  let successes = 0;
  /** When the most recently answered spend began. */
  let spendBeganMs = 0;
  let refusals = 0;
  let lastRefusalMs = 0;
  let stopping = false;
  let made = 0;
  // Time is measured in beats: other work on the machine delays them as it delays the server, so it does not count.
  let beats = 0;
  const beating = setInterval(() => (beats += 1), BEAT_MS);

  function wrong(sentence: string): void {
    // The first few are enough to diagnose a failure.
    if (book.wrong.length < 20) book.wrong.push(sentence);
  }

  /** Returns the answer's data if its status is one of `known`; null if it was refused or not answered. */
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

  /** Records a new spend in the book. Each call of the result requests it once; resolves with whether it succeeded. */
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
        // It may already have been settled only if an earlier answer is missing.
        const known = asked.settled === "perhaps" ? [200, 409] : [200];
        asked.settled = "perhaps";
        if ((await call("service.settle", SERVICE_KEY, input, known)) !== null)
          asked.settled = "yes";
        await sleep(asked.settled === "yes" ? 8 : 100);
      }
    }
  }

  /** Reads, and writes that do not go through the ledger's writer. */
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

  /** /health uses no dependency, so it must not notice an outage. */
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
     * Waits until spends succeed again and refusals have stopped for a while; rejects if that takes more than
     * `withinMs` from `usableAtMs`. Resolves with the time from `faultAtMs` to the last refusal, in milliseconds.
     */
    async recovery(faultAtMs: number, usableAtMs: number, withinMs: number): Promise<number> {
      // Only a spend that begins after that time counts: an earlier one may merely have been hanging.
      const comesThrough = () => spendBeganMs >= usableAtMs;
      await until(() => comesThrough() && Date.now() - lastRefusalMs >= ENDED_AFTER_MS, {
        withinMs: usableAtMs + withinMs + ENDED_AFTER_MS - Date.now(),
        everyMs: 20,
        otherwise: () =>
          `Errors go on ${withinMs} ms after the database could be used again: a spend comes through: ${comesThrough()}, last refusal ${Date.now() - lastRefusalMs} ms ago`,
      });
      return Math.max(0, lastRefusalMs - faultAtMs);
    },
    /** Stops the load once the calls in flight have finished. */
    async stop() {
      stopping = true;
      await Promise.all(clients);
      clearInterval(beating);
    },
    /** One spend outside of the load, for the retries at the end. */
    spend,
  };
}

/** Summarises in one line how long errors lasted (median and maximum). docs/decisions/0014 quotes it. */
export function recoveryLine(name: string, errorsMs: readonly number[]): string {
  const { operations, p50Ms } = summarise(errorsMs);
  return `${name} ${operations} times: errors for ${p50Ms} / ${Math.max(0, ...errorsMs)} ms`;
}
