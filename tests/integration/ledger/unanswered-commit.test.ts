// Shows that a change is announced even if its COMMIT was never answered and the writer gave up finding out.
import { describe, expect, test } from "vitest";
import { UnknownOutcomeError } from "../../../server/database/errors.ts";
import type { Database, SqlSession } from "../../../server/database/ports.ts";
import { LEDGER_SQL } from "../../../server/ledger/store/sql.ts";
import { isRefused } from "../../../server/ledger/writer/errors.ts";
import { isAppError } from "../../../server/lib/errors.ts";
import { available } from "../../support/backend.ts";
import { ledgerWith } from "../../support/another-ledger.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { spend } from "../../support/operations.ts";
import { useTestApp } from "../../support/use-app.ts";

describe("a COMMIT that took effect without an answer", () => {
  const world = useTestApp({ available, clock: createTestClock("stepping") });

  type RawTransaction = Database["rawTransaction"];

  /** Every COMMIT but the first goes through `later`. Returns whom the ledger announced when it refused a spend. */
  async function announcedBy(userId: string, later: RawTransaction): Promise<string[]> {
    const { database, pubsub } = world.backend;
    let transactions = 0;
    const rawTransaction: RawTransaction = async (work) => {
      transactions += 1;
      if (transactions > 1) return later(work);
      await database.rawTransaction(work);
      throw new UnknownOutcomeError(new Error("ECONNRESET"));
    };
    const announced: string[] = [];
    const publish = (_: string, message: string) =>
      Promise.resolve(void announced.push(...(JSON.parse(message) as string[])));
    const { submit } = ledgerWith(world, {
      database: { ...database, rawTransaction },
      pubsub: { ...pubsub, publish },
      limits: { deadlineMs: 300, attempts: 3 },
    });
    const error = await submit(spend(userId, "k")).then(
      () => undefined,
      (reason: unknown) => reason as Error,
    );
    expect(isAppError(error, "SERVICE_UNAVAILABLE")).toBe(true);
    // It may have been applied, even if it waits in the queue again: whoever undoes a reserve must not skip this one.
    expect(error && isRefused(error)).toBe(false);
    return announced;
  }

  test("is announced when the database stays away", async () => {
    const userId = await world.createUser(10);
    const away = () => Promise.reject(Object.assign(new Error("away"), { code: "ECONNREFUSED" }));
    expect(new Set(await announcedBy(userId, away))).toEqual(new Set([userId]));
  });

  test("is announced when its user's row stays held until the deadline", async () => {
    const userId = await world.createUser(10);
    const { lockFreeUsers } = LEDGER_SQL[world.backend.database.dialect];
    const held = (session: SqlSession): SqlSession => ({
      ...session,
      query: (sql, params) =>
        sql === lockFreeUsers ? Promise.resolve([]) : session.query(sql, params),
    });
    const later: RawTransaction = (work) =>
      world.backend.database.rawTransaction((session) => work(held(session)));
    expect(new Set(await announcedBy(userId, later))).toEqual(new Set([userId]));
  });
});
