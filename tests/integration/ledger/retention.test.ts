// Expired rows are deleted completely, whatever the table, and nothing else is.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { deleteExpired, RETENTIONS, type Retention } from "../../../server/jobs/retention.ts";
import { createRetentionStore, type RetentionStore } from "../../../server/jobs/retention.store.ts";
import { available } from "../../support/backend.ts";
import { useBackend } from "../../support/use-app.ts";

const DAY_MS = 86_400_000;
const NOW = Date.UTC(2026, 5, 1);
const never = new AbortController().signal;

describe("retention", () => {
  const opened = useBackend(available);

  type Make = (ids: readonly string[], at: Date) => Promise<unknown>;
  const ended = new Date(NOW);

  /** Functions that create rows of each table whose retention period begins at a given time. */
  function makers(): Record<string, Make> {
    const { models } = opened.backend.database;
    return {
      idempotency_keys: (ids, createdAt) =>
        models.idempotencyKey.createMany({
          data: ids.map((key) => ({
            userId: "u",
            key,
            inputHash: "hash",
            answer: "{}",
            createdAt,
          })),
        }),
      sessions: (ids, absoluteExpiresAt) =>
        models.session.createMany({
          data: ids.map((id) => ({
            id,
            userId: "u",
            refreshTokenHash: id,
            expiresAt: ended,
            absoluteExpiresAt,
          })),
        }),
      stripe_events: (ids, receivedAt) =>
        models.stripeEvent.createMany({
          data: ids.map((id) => ({
            id,
            type: "t",
            status: "PROCESSED",
            payload: "{}",
            createdAt: receivedAt,
            receivedAt,
          })),
        }),
      ai_runs: (ids, endedAt) =>
        models.aiRun.createMany({
          data: ids.map((id) => ({
            id,
            userId: "u",
            feature: "chat-pro",
            inputHash: "hash",
            holdId: "h",
            heldCredits: 1,
            state: "completed",
            leaseExpiresAt: endedAt,
            createdAt: endedAt,
            endedAt,
          })),
        }),
    };
  }

  const idsOf = (count: number) => Array.from({ length: count }, () => randomUUID());

  async function count(table: string): Promise<number> {
    const [row] = await opened.backend.database.models.$queryRawUnsafe<{ n: unknown }[]>(
      `SELECT COUNT(*) AS n FROM ${table}`,
    );
    return Number(row?.n);
  }

  test.each(RETENTIONS)(
    "$table: one run deletes every row that is due, and no other",
    async (retention) => {
      const { table, days } = retention;
      const make = makers()[table];
      if (make === undefined) throw new Error(`Nobody makes rows of ${table} here.`);
      const dueMs = NOW - days * DAY_MS;
      const kept = await count(table);
      for (let n = 0; n < 4; n += 1) await make(idsOf(400), new Date(dueMs - 1 - n * 1_000));
      await make(idsOf(30), new Date(dueMs));
      await make(idsOf(30), new Date(dueMs + DAY_MS));
      const deps = { store: createRetentionStore(opened.backend.database), now: () => NOW };
      expect(await deleteExpired(deps, retention, never)).toEqual({
        rows: 1_600,
        lagSeconds: 0,
      });
      expect(await count(table)).toBe(kept + 60);
      expect(await deleteExpired(deps, retention, never)).toEqual({ rows: 0, lagSeconds: 0 });
    },
  );

  test("a run told to stop finishes its piece and says how far behind it is", async () => {
    const [keys] = RETENTIONS as readonly [Retention];
    const dueMs = NOW - keys.days * DAY_MS;
    await makers()[keys.table]?.(idsOf(300), new Date(dueMs - 900_000));
    await makers()[keys.table]?.(idsOf(400), new Date(dueMs - 500_000));
    const store = createRetentionStore(opened.backend.database);
    const stop = new AbortController();
    const stopping: RetentionStore = {
      ...store,
      deleteOldest(kept, before) {
        stop.abort();
        return store.deleteOldest(kept, before, 300);
      },
    };
    const before = await count(keys.table);
    const now = () => NOW;
    // The oldest rows go first, so the lag is determined by what is left.
    const first = await deleteExpired({ store: stopping, now }, keys, stop.signal);
    expect(first).toEqual({ rows: 300, lagSeconds: 500 });
    expect(await count(keys.table)).toBe(before - 300);
    expect(await deleteExpired({ store, now }, keys, never)).toEqual({
      rows: 400,
      lagSeconds: 0,
    });
  });

  test("retention keeps runs that have not ended", async () => {
    const { models } = opened.backend.database;
    const runs = RETENTIONS.find(({ table }) => table === "ai_runs");
    if (runs === undefined) throw new Error("ai_runs is not forgotten");
    const old = new Date(NOW - 400 * DAY_MS);
    const [id = ""] = idsOf(1);
    await makers()["ai_runs"]?.([id], old);
    await models.aiRun.update({ where: { id }, data: { state: "running", endedAt: null } });
    const deps = { store: createRetentionStore(opened.backend.database), now: () => NOW };
    await deleteExpired(deps, runs, never);
    expect(await models.aiRun.count({ where: { id } })).toBe(1);
  });

  test("every table that is forgotten has an index that leads with its time", async () => {
    const { models, dialect } = opened.backend.database;
    for (const { table, since } of RETENTIONS) {
      const rows = await models.$queryRawUnsafe<Record<string, unknown>[]>(
        dialect === "mysql"
          ? `SHOW INDEX FROM ${table} WHERE Seq_in_index = 1 AND Column_name = '${since}'`
          : `SELECT l.name FROM pragma_index_list('${table}') l JOIN pragma_index_info(l.name) i WHERE i.seqno = 0 AND i.name = '${since}'`,
      );
      expect([table, rows.length]).toEqual([table, 1]);
    }
  });
});
