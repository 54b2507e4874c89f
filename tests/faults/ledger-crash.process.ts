// One server process of the crash test: mixed credit operations forever, each answer reported before the next request.
import { randomUUID } from "node:crypto";
import { writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { openBackend } from "../../server/infrastructure.ts";
import { isAppError } from "../../server/lib/errors.ts";
import { createLedger } from "../../server/ledger/ledger.ts";
import type { BackendConfig } from "../support/databases.ts";
import { grant, rawKey, reserve, spend } from "../support/operations.ts";
import { silent as logger } from "../support/silent.ts";

interface Task {
  readonly config: BackendConfig;
  readonly keyPrefix: string;
  readonly users: readonly string[];
}

const task = JSON.parse(process.argv[2] ?? "") as Task;
const backend = await openBackend({ ...task, logger });
const ledger = createLedger({ ...backend, logger, tracer: null, now: Date.now });

/** Writes one line synchronously to the pipe: a kill may take the process, but no line that was written. */
function tell(...words: (string | number)[]): void {
  writeSync(1, `${words.join(" ")}\n`);
}

async function spendOnce(userId: string): Promise<void> {
  const key = `user:${randomUUID()}`;
  const amountCredits = 1 + Math.floor(Math.random() * 5);
  const operation = spend(userId, key, amountCredits, { feature: "chat-pro" });
  tell("asked", key, userId);
  await ledger.submit(operation);
  tell("spent", key, userId, amountCredits);
  if (Math.random() < 0.2) await ledger.submit(operation);
}

async function hold(userId: string): Promise<void> {
  const { holdId } = await ledger.submit(
    reserve(userId, `svc:x:${randomUUID()}`, 10, {
      feature: "ppt-edit",
      ttlSeconds: Math.random() < 0.5 ? 1 : 600,
    }),
  );
  tell("held", holdId, userId);
  if (Math.random() < 0.3) return;
  if (Math.random() < 0.5) {
    const amountCredits = Math.floor(Math.random() * 11);
    await ledger.submit({ kind: "settle", userId, holdId, amountCredits });
    tell("settled", holdId, userId, amountCredits);
  } else {
    await ledger.submit({ kind: "release", userId, holdId });
    tell("released", holdId, userId);
  }
}

async function grantAndTakeBack(userId: string): Promise<void> {
  const grantKey = `crash:${randomUUID()}`;
  await backend.database.transaction((tx) =>
    ledger.applyIn(tx, [
      grant(userId, grantKey, 50, { source: "DISPUTE_REVERSAL", description: "crash test" }),
    ]),
  );
  tell("granted", grantKey, userId);
  await ledger.submit({
    kind: "takeBack",
    userId,
    amountCredits: 20,
    type: "REFUND",
    sourceId: "crash",
    grantKey,
    idempotencyKey: rawKey(`refund:${grantKey}`),
    description: "crash test",
  });
}

async function caller(): Promise<never> {
  for (;;) {
    const userId = task.users[Math.floor(Math.random() * task.users.length)] ?? "";
    const dice = Math.random();
    try {
      if (dice < 0.7) await spendOnce(userId);
      else if (dice < 0.95) await hold(userId);
      else await grantAndTakeBack(userId);
    } catch (error) {
      if (!isAppError(error) || error.code === "INTERNAL") {
        tell("broken", String(error).replaceAll(/\s/g, "_"));
        throw error;
      }
      // Refused (insufficient credits, an expired hold), or asked to retry later.
      await sleep(2);
    }
  }
}

tell("ready");
await Promise.all(Array.from({ length: 16 }, caller));
