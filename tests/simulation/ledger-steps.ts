// What clients do with credits: spend, reserve, settle, release, look; with keys said once, twice and late.
import type { HoldResult, OperationResult } from "../../server/ledger/ports.ts";
import type { ClientJournal, KeyRecord } from "./client-journal.ts";
import type { Answer } from "./server.ts";
import type { World } from "./world.ts";
import { rawKey, reserve as reserving, spend as spending } from "../support/operations.ts";

const FEATURES = [
  ["chat-flash", 1],
  ["chat-pro", 5],
  ["ppt-edit", 5],
  ["ppt-generate", 10],
] as const;
const DAY_MS = 86_400_000;
const TTLS_SECONDS = [60, 300, 900, 3_600];
const LASTS_MS = [null, 60_000, 600_000, 31 * DAY_MS];
/** Keys are kept for 90 days; nobody repeats one that may be forgotten. */
const KEY_LIFE_MS = 80 * DAY_MS;

/** The steps, each a thing one client does. */
export function createLedgerSteps(world: World, journal: ClientJournal) {
  const { random, scheduler, store } = world;
  let made = 0;

  /** A key of this user used before, or null for a new one. */
  function former(userId: string, kind: KeyRecord["kind"]): KeyRecord | null {
    if (!random.chance(0.3)) return null;
    const known = journal.keys.filter(
      (record) =>
        record.userId === userId &&
        record.kind === kind &&
        scheduler.nowMs - record.startedAtMs < KEY_LIFE_MS,
    );
    return known.length === 0 ? null : world.recent(known);
  }

  function newRecord(userId: string, kind: KeyRecord["kind"], amount: number): KeyRecord {
    made += 1;
    return journal.begin({ userId, kind, amount, key: `${kind}-${made}` }, scheduler.nowMs);
  }

  function check(wrong: string | null): void {
    if (wrong !== null) world.broke(wrong);
  }

  /** The answer to what makes an entry: what was acknowledged is there, now. */
  function heardEntry(record: KeyRecord, answer: Answer<OperationResult>): void {
    check(
      journal.heard(record, answer, ({ transactionId, replayed }) => ({
        id: transactionId ?? "nothing",
        first: !replayed,
      })),
    );
    if (answer.kind !== "done") return;
    const [entry] = store.rows<{ amount: number; seq: number }>(
      "SELECT amount, seq FROM credit_logs WHERE userId = ? AND id = ?",
      record.userId,
      answer.value.transactionId,
    );
    const wanted = record.kind === "adjust" ? record.amount : -record.amount;
    if (entry?.amount !== wanted)
      world.broke(`${record.key} was acknowledged and its entry is ${JSON.stringify(entry)}`);
    told(record.userId, answer.value.seq);
  }

  function told(userId: string, seq: number): void {
    journal.seqs.set(userId, Math.max(journal.seqs.get(userId) ?? 0, seq));
  }

  async function spend(record: KeyRecord, times: number): Promise<void> {
    const [feature] = FEATURES.find(([, credits]) => credits === record.amount) ?? FEATURES[0];
    const ask = async () => {
      const answer = await world.ask(
        `spend ${record.userId} ${record.key} ${record.amount}`,
        ({ ledger }) =>
          ledger.submit(
            spending(record.userId, record.key, record.amount, {
              feature,
              metadata: { key: record.key },
            }),
          ),
      );
      heardEntry(record, answer);
    };
    await Promise.all(Array.from({ length: times }, ask));
  }

  async function reserve(record: KeyRecord): Promise<void> {
    const { userId, amount } = record;
    const answer = await world.ask(`reserve ${userId} ${record.key} ${amount}`, ({ ledger }) =>
      ledger.submit(
        reserving(userId, record.key, amount, {
          feature: null,
          priceVersion: null,
          ttlSeconds: TTLS_SECONDS[amount % TTLS_SECONDS.length] ?? 300,
        }),
      ),
    );
    check(
      journal.heard(record, answer, ({ holdId, replayed }: HoldResult) => ({
        id: holdId,
        first: !replayed,
      })),
    );
    if (answer.kind !== "done") return;
    const { holdId } = answer.value;
    const [row] = store.rows<{ amount: number }>(
      "SELECT amount FROM credit_holds WHERE id = ?",
      holdId,
    );
    if (row?.amount !== amount) world.broke(`hold ${holdId} was acknowledged and is not there`);
    if (!journal.holds.some((known) => known.holdId === holdId))
      journal.holds.push({ userId, holdId, amount, ends: [], unsure: 0 });
  }

  /** Settles or releases; what was acknowledged is there. */
  async function endHold(settle: boolean): Promise<void> {
    if (journal.holds.length === 0) return;
    const hold = world.recent(journal.holds);
    const { userId, holdId } = hold;
    const amountCredits = random.between(0, hold.amount);
    const what = settle ? `settle ${holdId} at ${amountCredits}` : `release ${holdId}`;
    hold.unsure += 1;
    const answer = await world.ask(what, ({ ledger }) =>
      settle
        ? ledger.submit({ kind: "settle", userId, holdId, amountCredits })
        : ledger.submit({ kind: "release", userId, holdId }),
    );
    if (answer.kind === "unknown") return;
    hold.unsure -= 1;
    const [row] = store.rows<{ state: string }>(
      `SELECT CASE status WHEN 'SETTLED' THEN status || ' ' || settledAmount ELSE status END AS state
       FROM credit_holds WHERE id = ?`,
      holdId,
    );
    if (answer.kind === "refused") {
      if (answer.code === "HOLD_NOT_ACTIVE" && row?.state === "ACTIVE")
        world.broke(`${what} was refused, and the hold is active`);
      return;
    }
    const end = settle ? `SETTLED ${amountCredits}` : "RELEASED";
    hold.ends.push(end);
    if (row?.state !== end) world.broke(`${what} was acknowledged and the hold is ${row?.state}`);
    told(userId, answer.value.seq);
  }

  return {
    spend: () => {
      const userId = world.someUser();
      const known = former(userId, "spend");
      const times = random.chance(0.15) ? random.between(2, 3) : 1;
      const record = known ?? newRecord(userId, "spend", random.pick(FEATURES)[1]);
      for (let more = known === null ? 1 : 0; more < times; more += 1) journal.again(record);
      return spend(record, times);
    },
    reserve: () => {
      const userId = world.someUser();
      const known = former(userId, "reserve");
      if (known !== null) journal.again(known);
      return reserve(known ?? newRecord(userId, "reserve", random.between(1, 15)));
    },
    settle: () => endHold(true),
    release: () => endHold(false),
    adjust: async () => {
      const userId = world.someUser();
      const known = former(userId, "adjust");
      if (known !== null) journal.again(known);
      const amount = random.chance(0.7) ? random.between(1, 30) : -random.between(1, 20);
      const record = known ?? newRecord(userId, "adjust", amount);
      // Some of what is given lasts minutes, some of it a month, some for ever: said the same way every time.
      const lasts = LASTS_MS[Math.abs(record.amount) % LASTS_MS.length] ?? null;
      const expiresAt =
        lasts === null || record.amount < 0 ? null : new Date(record.startedAtMs + lasts);
      const answer = await world.ask(`adjust ${userId} ${record.key} ${record.amount}`, (server) =>
        server.ledger.submit({
          kind: "adjust",
          userId,
          amountCredits: record.amount,
          actorId: "admin",
          reason: record.key,
          idempotencyKey: rawKey(record.key),
          expiresAt,
        }),
      );
      heardEntry(record, answer);
    },
    /** Nobody is shown a balance older than what they were told before they asked. */
    look: async () => {
      const userId = world.someUser();
      const seq = journal.seqs.get(userId) ?? 0;
      const answer = await world.ask(`look ${userId}`, ({ balances }) => balances.get(userId));
      if (answer.kind !== "done") return;
      const since = store.rows<{ balance: number }>(
        "SELECT balance FROM credit_logs WHERE userId = ? AND seq >= ?",
        userId,
        BigInt(seq),
      );
      const { credits } = answer.value;
      const isFresh = seq === 0 || since.some(({ balance }) => balance === credits);
      if (!isFresh) world.broke(`${userId} was shown ${credits} after being told of entry ${seq}`);
    },
  };
}
