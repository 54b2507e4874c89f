// A world for ledger tests: a fresh database, one or more ledgers on it, users, and an audit of every invariant.
import { randomUUID } from "node:crypto";
import type { Backend } from "../../server/infrastructure.ts";
import { createLedger, type LedgerDeps } from "../../server/ledger/ledger.ts";
import type { Ledger } from "../../server/ledger/ports.ts";
import { createLogger, type Logger } from "../../server/lib/logger.ts";
import type { AvailableBackend, OpenedBackend } from "./databases.ts";

/** One world. Everything in it is dropped by `close`. */
export interface LedgerWorld {
  readonly opened: OpenedBackend;
  readonly backend: Backend;
  readonly ledger: Ledger;
  readonly logger: Logger;
  /** The worlds' clock; move it with `advance`. */
  readonly now: () => number;
  advance(seconds: number): void;
  /** Another instance on the same database and Redis. */
  another(overrides?: Partial<LedgerDeps>): Promise<Ledger>;
  /** A ledger on this instance's back end, with some of its parts replaced. */
  withParts(overrides: Partial<LedgerDeps>): Ledger;
  /** A user with so many credits in one lot that never expires. */
  user(credits?: number): Promise<string>;
  /** So many users without credits, made at once. */
  users(count: number): Promise<string[]>;
  /** Sentences about invariants that do not hold; holds cut by a refund are let pass when `cut`. */
  audit(options?: { cut?: boolean }): Promise<string[]>;
  close(): Promise<void>;
}

/** Opens a world on `available`. */
export async function openLedgerWorld(available: AvailableBackend): Promise<LedgerWorld> {
  const opened = await available.open();
  const { backend } = opened;
  const logger = createLogger({ level: "silent" });
  // Stands still but for a millisecond a look, so that a slow machine cannot let anything expire by itself.
  let nowMs = Date.now();
  const now = () => (nowMs += 1);
  const ledgers: Ledger[] = [];

  function make(on: Backend, overrides: Partial<LedgerDeps> = {}): Ledger {
    const { database, locks, cache, pubsub } = on;
    const ledger = createLedger({ database, locks, cache, pubsub, logger, now, ...overrides });
    ledgers.push(ledger);
    return ledger;
  }

  const ledger = make(backend);
  return {
    opened,
    backend,
    ledger,
    logger,
    now,
    advance(seconds) {
      nowMs += seconds * 1000;
    },
    another: async (overrides) => make(await opened.openAnother(), overrides),
    withParts: (overrides) => make(backend, overrides),
    async user(credits = 0) {
      const id = randomUUID();
      const at = new Date(now());
      await backend.database.models.user.create({
        data: { id, email: `${id}@example.com`, createdAt: at, updatedAt: at },
      });
      if (credits > 0)
        await ledger.submit({
          kind: "grant",
          userId: id,
          amountCredits: credits,
          source: "SIGNUP",
          sourceId: null,
          grantKey: `signup:${id}`,
          expiresAt: null,
          description: "Welcome",
        });
      return id;
    },
    async users(count) {
      const ids = Array.from({ length: count }, () => randomUUID());
      const at = new Date(now());
      await backend.database.models.user.createMany({
        data: ids.map((id) => ({ id, email: `${id}@example.com`, createdAt: at, updatedAt: at })),
      });
      return ids;
    },
    audit: (options) => audit(backend, options?.cut ?? false),
    async close() {
      await Promise.all(ledgers.map((one) => one.close()));
      await opened.close();
    },
  };
}

/** CONTRACT.md section 6, invariants 1-4, row by row: slow, plain, and no relation of the doctor. */
async function audit({ database: { models } }: Backend, cut: boolean): Promise<string[]> {
  const [users, logs, lots, holds] = await Promise.all([
    models.user.findMany(),
    models.creditLog.findMany({ orderBy: [{ userId: "asc" }, { seq: "asc" }] }),
    models.creditGrant.findMany(),
    models.creditHold.findMany(),
  ]);
  const problems: string[] = [];
  for (const user of users) {
    const check = (fine: boolean, what: string) => {
      if (!fine) problems.push(`${user.id}: ${what}`);
    };
    let balance = 0;
    let seq = 0;
    const counts: Record<string, number> = {};
    for (const log of logs.filter(({ userId }) => userId === user.id)) {
      seq += 1;
      balance += log.amount;
      counts[log.type] = (counts[log.type] ?? 0) + 1;
      check(log.seq === seq, `seq ${log.seq} where ${seq} belongs`);
      check(log.balance === balance, `balance ${log.balance} at ${seq}, not ${balance}`);
    }
    check(user.credits === balance, `credits ${user.credits}, entries say ${balance}`);
    check(user.ledgerSeq === seq, `ledgerSeq ${user.ledgerSeq}, ${seq} entries`);
    const stored = JSON.parse(user.entryCounts) as Record<string, number>;
    for (const type of new Set([...Object.keys(counts), ...Object.keys(stored)]))
      check(counts[type] === stored[type], `${stored[type]} entries of ${type} counted`);
    const mine = lots.filter(({ userId }) => userId === user.id);
    const open = mine.reduce((sum, lot) => sum + lot.remaining, 0);
    check(open === Math.max(0, user.credits), `lots hold ${open} of ${user.credits}`);
    check(
      mine.every((lot) => lot.remaining >= 0 && lot.isOpen === lot.remaining > 0),
      "a lot is open exactly while something remains",
    );
    const active = holds.filter(({ userId, status }) => userId === user.id && status === "ACTIVE");
    const held = active.reduce((sum, hold) => sum + hold.amount, 0);
    check(user.heldCredits === held, `heldCredits ${user.heldCredits}, holds say ${held}`);
    check(cut || held <= Math.max(0, user.credits), `${held} held of ${user.credits}`);
  }
  return problems;
}
