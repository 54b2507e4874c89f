// A row that stays locked for longer than a request may wait: SERVICE_UNAVAILABLE, whatever kind of statement waited.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DatabaseTransaction } from "../../server/database/ports.ts";
import { toServiceUnavailable } from "../../server/database/errors.ts";
import { available } from "../support/backend.ts";
import type { OpenedBackend } from "../support/databases.ts";

const LOCK = "SELECT id FROM users WHERE id = ? FOR UPDATE";
const WRITE = "UPDATE users SET name = 'x' WHERE id = ?";

const STATEMENTS: Readonly<Record<string, (tx: DatabaseTransaction, id: string) => unknown>> = {
  "a raw locking read": ({ sql }, id) => sql.query(LOCK, [id]),
  "a raw write": ({ sql }, id) => sql.execute(WRITE, [id]),
  "a write by model": ({ models }, id) =>
    models.user.update({ where: { id }, data: { name: "x" } }),
  "a raw write by a model that hides its error's cause": ({ models }, id) =>
    models.$executeRawUnsafe(WRITE, id).catch((error: unknown) => {
      throw new Error("outer", { cause: error });
    }),
};

// SQLite has no row locks; waiting for its single writer is tested in tests/contract/sqlite-busy.test.ts.
describe.runIf(available.dialect === "mysql")("a row that stays locked", () => {
  let opened: OpenedBackend;
  const id = randomUUID();
  let unlock: () => void = () => undefined;
  let holder: Promise<unknown>;

  beforeAll(async () => {
    opened = await available.open();
    const { database } = opened.backend;
    await database.models.user.create({ data: { id, email: `${id}@example.com` } });
    await new Promise<void>((locked) => {
      holder = database.transaction(async ({ sql }) => {
        await sql.query(LOCK, [id]);
        await new Promise<void>((resolve) => {
          unlock = resolve;
          locked();
        });
      });
    });
  });
  afterAll(async () => {
    unlock();
    await holder.catch(() => undefined);
    await opened.close();
  });

  test("returns SERVICE_UNAVAILABLE for every kind of statement in a transaction", async () => {
    const { database } = opened.backend;
    const codes = Object.entries(STATEMENTS).map(async ([name, run]) => [
      name,
      await database
        .transaction(async (tx) => {
          await run(tx, id);
        })
        .then(
          () => "OK",
          (error: unknown) => (error as { code?: string }).code,
        ),
    ]);
    expect(await Promise.all(codes)).toEqual(
      Object.keys(STATEMENTS).map((name) => [name, "SERVICE_UNAVAILABLE"]),
    );
  });

  test("is SERVICE_UNAVAILABLE at the edge for a statement outside a transaction", async () => {
    const { models } = opened.backend.database;
    const waits = [
      models.$executeRawUnsafe(WRITE, id),
      models.user.update({ where: { id }, data: { name: "x" } }),
    ];
    for (const wait of waits) {
      const error = await wait.catch((refusal: unknown) => refusal);
      expect(toServiceUnavailable(error)).toMatchObject({ code: "SERVICE_UNAVAILABLE" });
    }
  });
});
