// Shows that users whose entries an older release wrote are counted by the ledger again, however busy they are.
import { describe, expect, test } from "vitest";
import { serviceUnavailable } from "../../../server/database/errors.ts";
import type { Database } from "../../../server/database/ports.ts";
import { rollCredits } from "../../../server/jobs/roll-ups.ts";
import { createCreditTotalsStore } from "../../../server/ledger/totals/credit-totals.store.ts";
import { available } from "../../support/backend.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useTestApp } from "../../support/use-app.ts";
import { spend } from "../../support/operations.ts";

describe("the roll-up of credits", () => {
  const world = useTestApp({ available, clock: createTestClock("stepping") });

  test("catches up with a user who spends during each run, and counts every entry once", async () => {
    const { database } = world.backend;
    const userId = await world.createUser(100);
    // Both as the release before the totals left them.
    await database.models.creditMovement.deleteMany();
    await database.models.user.updateMany({ data: { rolledSeq: 0 } });
    const store = createCreditTotalsStore(database);
    let spends = 0;
    const spendOnce = () => world.ledger.submit(spend(userId, `s${(spends += 1)}`));
    const credits = {
      ...store,
      async unrolled(afterUserId: string, users: number) {
        const page = await store.unrolled(afterUserId, users);
        await spendOnce();
        return page;
      },
    };
    const never = new AbortController().signal;
    for (let run = 0; run < 3; run += 1)
      await rollCredits({ credits, now: world.clock.now }, never);
    await spendOnce();
    const user = await database.models.user.findUniqueOrThrow({ where: { id: userId } });
    expect(user.ledgerSeq).toBe(5);
    expect(user.rolledSeq).toBe(user.ledgerSeq);
    expect(await store.movements(0, world.clock.now() + 86_400_000)).toMatchObject({
      granted: 100,
      spent: spends,
    });
  });

  test("leaves a user whose row is held to the next run, and stops between users when aborted", async () => {
    const { database } = world.backend;
    const userIds = [await world.createUser(10), await world.createUser(10)];
    await database.models.user.updateMany({ data: { rolledSeq: 0 } });
    let refusals = 1;
    const contended: Database = {
      ...database,
      transaction: (work) => {
        refusals -= 1;
        if (refusals < 0) return database.transaction(work);
        const cause = Object.assign(new Error("Lock wait timeout exceeded"), { errno: 1205 });
        return Promise.reject(serviceUnavailable(cause));
      },
    };
    const store = createCreditTotalsStore(contended);
    const never = new AbortController().signal;
    expect(await store.catchUp(userIds, world.clock.now(), AbortSignal.abort())).toBe(0);
    expect(refusals).toBe(1);
    expect(await store.catchUp(userIds, world.clock.now(), never)).toBe(1);
    expect(await store.catchUp(userIds, world.clock.now(), never)).toBe(1);
  });
});
