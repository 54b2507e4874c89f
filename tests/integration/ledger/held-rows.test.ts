// Shows that a user whose row somebody else holds is the only one who waits for it.
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { LedgerDeps } from "../../../server/ledger/ledger.ts";
import { available } from "../../support/backend.ts";
import { ledgerWith } from "../../support/another-ledger.ts";
import { auditRows } from "../../support/ledger-audit.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useTestApp } from "../../support/use-app.ts";
import { codeOf } from "../../support/code-of.ts";
import { deferred } from "../../support/deferred.ts";
import { spend } from "../../support/operations.ts";

// SQLite has no row locks.
describe.runIf(available.dialect === "mysql")("a user's row that is held elsewhere", () => {
  const world = useTestApp({ available, clock: createTestClock("stepping") });

  async function people(n: number): Promise<string[]> {
    const userIds: string[] = [];
    for (let i = 0; i < n; i += 1) userIds.push(await world.createUser(10));
    return userIds;
  }

  /** Holds the users' rows until `letGo` is called. */
  async function hold(...userIds: string[]) {
    const [held, freed] = [deferred(), deferred()];
    const holder = world.backend.database.transaction(async ({ sql }) => {
      for (const id of userIds)
        await sql.query("SELECT id FROM users WHERE id = ? FOR UPDATE", [id]);
      held.resolve();
      await freed.promise;
    });
    await held.promise;
    return { letGo: () => (freed.resolve(), holder) };
  }

  /** The number of transactions is that of the ledger made of it. */
  function counted(parts: Partial<LedgerDeps> = {}) {
    const { database } = world.backend;
    const count = { transactions: 0 };
    const ledger = ledgerWith(world, {
      ...parts,
      database: {
        ...database,
        rawTransaction: (work) => {
          count.transactions += 1;
          return database.rawTransaction(work);
        },
      },
    });
    return { ledger, count };
  }

  test.each([
    ["one batch at a time", 1],
    ["two batches at once", 2],
  ])("keeps nobody else waiting, with %s, and is had once it is let go", async (_, batches) => {
    const [first = "", second = "", ...others] = await people(42);
    const { letGo } = await hold(first, second);
    const { ledger, count } = counted({ limits: { batches } });
    const startedAtMs = performance.now();
    const order: string[] = [];
    const waiting = ["a", "b"].flatMap((key) =>
      [first, second].map((id) =>
        ledger.submit(spend(id, key)).then(({ credits }) => order.push(`${key} ${credits}`)),
      ),
    );
    for (const round of ["1", "2", "3"])
      await Promise.all(others.map((id) => ledger.submit(spend(id, round))));
    // Less than the two seconds for which a statement waits for a row.
    expect(performance.now() - startedAtMs).toBeLessThan(1_000);
    await sleep(300);
    expect(order).toEqual([]);
    // It is asked for again and again, but not without a pause.
    expect(count.transactions).toBeLessThan(200);
    await letGo();
    const letGoAtMs = performance.now();
    await Promise.all(waiting);
    expect(performance.now() - letGoAtMs).toBeLessThan(1_000);
    expect(order.toSorted()).toEqual(["a 9", "a 9", "b 8", "b 8"]);
    expect(await auditRows(world.models)).toEqual([]);
  });

  test("is waited for until the caller's deadline, and then nothing of it happens", async () => {
    const [heldId = "", freeId = ""] = await people(2);
    const { letGo } = await hold(heldId);
    const ledger = ledgerWith(world, { limits: { deadlineMs: 400 } });
    const startedAtMs = performance.now();
    const late = codeOf(ledger.submit(spend(heldId, "late")));
    expect(await codeOf(ledger.submit(spend(freeId, "free")))).toBe("OK");
    expect(await late).toBe("SERVICE_UNAVAILABLE");
    expect(performance.now() - startedAtMs).toBeLessThan(900);
    await letGo();
    expect(await ledger.submit(spend(heldId, "next"))).toMatchObject({ credits: 9 });
  });

  test("is not taken for a user who does not exist, nor the other way round", async () => {
    const [heldId = ""] = await people(1);
    const { letGo } = await hold(heldId);
    const { ledger } = counted();
    const held = ledger.submit(spend(heldId, "held"));
    expect(await codeOf(ledger.submit(spend("nobody", "k")))).toBe("NOT_FOUND");
    await letGo();
    expect(await held).toMatchObject({ credits: 9 });
  });

  test("is overtaken by none of its user's operations when a poisoned batch is halved", async () => {
    const [heldId = "", poisonedId = "", ...others] = await people(5);
    const { database } = world.backend;
    const { letGo } = await hold(heldId);
    let transactions = 0;
    const ledger = ledgerWith(world, {
      limits: { batches: 1 },
      database: {
        ...database,
        async rawTransaction(work) {
          transactions += 1;
          // The whole batch is the first, its first half the second; the row is free for the second half.
          if (transactions === 3) await letGo();
          return database.rawTransaction((session) =>
            work({
              ...session,
              execute(sql, params) {
                if (!JSON.stringify(params).includes("poison")) return session.execute(sql, params);
                return Promise.reject(new Error("Incorrect string value"));
              },
            }),
          );
        },
      },
    });
    const spendHeld = async (key: string) => (await ledger.submit(spend(heldId, key))).credits;
    const first = spendHeld("one");
    const beside = others.map((id) => codeOf(ledger.submit(spend(id, "beside"))));
    const poisoned = codeOf(ledger.submit(spend(poisonedId, "poison")));
    const later = [spendHeld("two"), spendHeld("three")];
    expect(await Promise.all([first, ...later])).toEqual([9, 8, 7]);
    expect(await Promise.all(beside)).toEqual(["OK", "OK", "OK"]);
    expect(await poisoned).toBe("INTERNAL");
  });
});
