// Metrics of the ledger: its batches, its queue, and the credits that moved.
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { ENTRY_TYPES, type EntryType } from "../../shared/src/credit.ts";
import type { LedgerOperation, OperationResult } from "../ledger/ports.ts";

/** Registers the ledger's metrics; `pending` is called at each scrape. */
export function measureLedger(registry: Registry, pending: () => number) {
  new Gauge({
    name: "ledger_operations_pending",
    help: "Credit operations waiting or under way.",
    registers: [registry],
    collect() {
      this.set(pending());
    },
  });
  return {
    /** Records one durable batch. */
    batch: measureBatches(registry),
    ...countCredits(registry),
  };
}

function measureBatches(registry: Registry) {
  const operationCounts = new Histogram({
    name: "ledger_batch_operations",
    help: "Credit operations that became durable together, in one transaction.",
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
    registers: [registry],
  });
  const durations = new Histogram({
    name: "ledger_batch_duration_seconds",
    help: "Duration of a batch's transaction, with its retries.",
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers: [registry],
  });
  return ({ operations, seconds }: { operations: number; seconds: number }): void => {
    operationCounts.observe(operations);
    durations.observe(seconds);
  };
}

function countCredits(registry: Registry) {
  const counter = (name: string, help: string) => {
    const made = new Counter({ name, help, labelNames: ["type"] as const, registers: [registry] });
    return new Map(ENTRY_TYPES.map((type) => [type, made.labels({ type })]));
  };
  const granted = counter(
    "credits_granted_total",
    "Credits given to accounts, by type of the entry.",
  );
  const taken = counter(
    "credits_taken_total",
    "Credits taken from accounts, by type of the entry.",
  );
  return {
    /** Records one durable operation with its result. */
    moved(operation: LedgerOperation, result: OperationResult): void {
      const { amountCredits, replayed, transactionId } = result;
      if (replayed || transactionId === null) return;
      const type = entryTypeOf(operation);
      const gives =
        operation.kind === "grant" || (operation.kind === "adjust" && operation.amountCredits > 0);
      if (type !== null) (gives ? granted : taken).get(type)?.inc(Math.abs(amountCredits));
    },
    /** Records what a durable batch took because it had expired: operations expire what is due before they begin. */
    expired(credits: number): void {
      taken.get("EXPIRY")?.inc(credits);
    },
  };
}

/**
 * Returns null where nothing enters or leaves the books (a hold, or a debt that moves between two accounts of one
 * person), and for expiries, which are counted by `expired`.
 */
function entryTypeOf(operation: LedgerOperation): EntryType | null {
  switch (operation.kind) {
    case "spend":
    case "settle":
      return "USAGE";
    case "grant":
      return operation.source;
    case "takeBack":
      return operation.type;
    case "adjust":
      return "ADMIN_ADJUST";
    case "reserve":
    case "release":
    case "expireLots":
    case "expireHolds":
    case "carryDebt":
      return null;
  }
}
