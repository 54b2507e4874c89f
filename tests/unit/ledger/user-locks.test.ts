// Shows which users may be attempted while another instance holds their Redis lock, their row, or both.
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { Locks } from "../../../server/kv/ports.ts";
import {
  acquireUserLocks,
  canAttempt,
  createUserLocks,
  noteRowWaits,
  pauseUntilRetryMs,
  pruneWaits,
} from "../../../server/ledger/writer/user-locks.ts";

const PATIENCE_MS = 60;
/** More than the longest pause before a row is asked for again. */
const ROW_PAUSE_MS = 25;
const ALICE = new Set(["alice"]);
const NOBODY = new Set<string>();

describe("a user whose lock another instance never gives back", () => {
  const refused: Locks = {
    acquire: () => Promise.resolve({ acquired: NOBODY, release: () => Promise.resolve() }),
  };

  /** Returns the locks after alice has waited for hers as long as she may, and is granted the run without it. */
  async function impatient() {
    const userLocks = createUserLocks(refused, PATIENCE_MS);
    expect((await acquireUserLocks(userLocks, ALICE)).granted).toEqual(NOBODY);
    await sleep(PATIENCE_MS + 5);
    expect((await acquireUserLocks(userLocks, ALICE)).granted).toEqual(ALICE);
    return userLocks;
  }

  test("asks for a row that was held without waiting for the lock again, but not in a busy loop", async () => {
    const userLocks = await impatient();
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const leftOutAtMs = performance.now();
      noteRowWaits(userLocks, ALICE, ALICE);
      expect(userLocks.rowWaits.get("alice")?.retryAtMs).toBeGreaterThan(leftOutAtMs + 1);
      expect(pauseUntilRetryMs(userLocks)).toBeLessThanOrEqual(ROW_PAUSE_MS);
      await sleep(ROW_PAUSE_MS);
      expect(canAttempt(userLocks, "alice")).toBe(true);
      expect((await acquireUserLocks(userLocks, ALICE)).granted).toEqual(ALICE);
    }
  });

  test("waits for the lock again once the row was obtained", async () => {
    const userLocks = await impatient();
    noteRowWaits(userLocks, ALICE, ALICE);
    noteRowWaits(userLocks, ALICE, NOBODY);
    expect((await acquireUserLocks(userLocks, ALICE)).granted).toEqual(NOBODY);
  });

  test("is forgotten after a minute", async () => {
    const userLocks = await impatient();
    noteRowWaits(userLocks, ALICE, ALICE);
    pruneWaits(userLocks, performance.now() + 61_000);
    expect([userLocks.waits.size, userLocks.rowWaits.size]).toEqual([0, 0]);
  });
});
