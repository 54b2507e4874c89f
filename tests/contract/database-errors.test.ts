// Classifies errors of servers that cannot be run here (failover, group replication, TiDB), and tests the retry limits.
import { setTimeout as sleep } from "node:timers/promises";
import { DriverAdapterError } from "@prisma/driver-adapter-utils";
import { describe, expect, test } from "vitest";
import {
  classifyDatabaseError,
  retryConflicts,
  toServiceUnavailable,
  UnknownOutcomeError,
} from "../../server/database/errors.ts";
import { toPrismaError } from "../../server/database/sqlite/values.ts";
import { createMutex, MutexTimeoutError } from "../../server/database/sqlite/write-mutex.ts";

const withFields = (fields: object, cause?: unknown) =>
  Object.assign(new Error("x", { cause }), fields);
const sqlError = (errno: number, fields: object = {}) =>
  withFields({ errno, sqlState: "HY000", fatal: false, ...fields });
const adapterError = (code: number) =>
  new DriverAdapterError({
    kind: "mysql",
    code,
    message: "",
    state: "HY000",
    originalCode: String(code),
  });

describe("classifyDatabaseError", () => {
  test.each([
    ["deadlock, bare driver", sqlError(1213), "conflict"],
    ["lock wait, bare driver", sqlError(1205), "conflict"],
    ["record changed since last read", sqlError(1020), "conflict"],
    [
      "Galera: error 149 during COMMIT",
      sqlError(1180, { message: 'Got error 149 "Lock deadlock" during COMMIT' }),
      "conflict",
    ],
    [
      "Galera: cut off during COMMIT",
      sqlError(1180, { message: "(provider status: Not connected to Primary Component)" }),
      "unknownOutcome",
    ],
    ["a failing disk during COMMIT", adapterError(1180), "unknownOutcome"],
    ["TiDB write conflict", sqlError(9007), "conflict"],
    ["Prisma P2034", withFields({ code: "P2034" }), "conflict"],
    [
      "Prisma P2010 in its older shape",
      withFields({ code: "P2010", meta: { code: "1213" } }),
      "conflict",
    ],
    [
      "Prisma P2010 around an adapter error",
      withFields({ code: "P2010", meta: { driverAdapterError: adapterError(1205) } }),
      "conflict",
    ],
    [
      "bare adapter error at COMMIT",
      new DriverAdapterError({ kind: "TransactionWriteConflict" }),
      "conflict",
    ],
    [
      "SQLITE_BUSY_SNAPSHOT",
      withFields({ code: "SQLITE_BUSY_SNAPSHOT", rawCode: 517 }),
      "conflict",
    ],
    ["Prisma P2002", withFields({ code: "P2002" }), "unique"],
    ["duplicate entry", sqlError(1062), "unique"],
    [
      "SQLite primary key",
      withFields({ code: "SQLITE_CONSTRAINT_PRIMARYKEY", rawCode: 1555 }),
      "unique",
    ],
    ["Galera: node not ready", sqlError(1047), "away"],
    ["read-only after a failover", sqlError(1290), "away"],
    ["offline for maintenance", sqlError(3032), "away"],
    ["group replication without a majority", sqlError(3100), "away"],
    ["table full: no disk left", sqlError(1114), "away"],
    ["statement interrupted", sqlError(1317), "away"],
    ["connection lost during the query", sqlError(2013), "away"],
    ["ProxySQL has no server to ask", sqlError(9001), "away"],
    ["connection killed", sqlError(1927), "away"],
    ["disconnected for inactivity", sqlError(4031), "away"],
    ["server shutting down", sqlError(1053), "away"],
    ["Prisma cannot reach it", withFields({ errorCode: "P1001" }), "away"],
    ["Prisma: connection closed", withFields({ code: "P1017" }), "away"],
    ["Prisma: pool timeout", withFields({ code: "P2024" }), "away"],
    ["Prisma: no transaction in time", withFields({ code: "P2028" }), "away"],
    ["socket reset", withFields({ code: "ECONNRESET", errno: -104 }), "away"],
    ["every address refused", new AggregateError([withFields({ code: "ECONNREFUSED" })]), "away"],
    ["any error that ended its connection", withFields({ errno: 45999, fatal: true }), "away"],
    ["disk full", withFields({ code: "SQLITE_FULL", rawCode: 13 }), "away"],
    [
      "disk full, behind Prisma",
      toPrismaError(withFields({ code: "SQLITE_FULL", rawCode: 13 })),
      "away",
    ],
    [
      "a disk that fails, behind Prisma",
      toPrismaError(withFields({ code: "SQLITE_IOERR", rawCode: 778 })),
      "away",
    ],
    ["wrapped by a cause", withFields({}, sqlError(1213)), "conflict"],
    [
      "lost at COMMIT",
      new UnknownOutcomeError(withFields({ code: "ECONNRESET" })),
      "unknownOutcome",
    ],
    [
      "lost at COMMIT, wrapped",
      withFields({}, new UnknownOutcomeError(sqlError(45009))),
      "unknownOutcome",
    ],
    ["no such table", sqlError(1146), "other"],
    ["a bug", new TypeError("x is not a function"), "other"],
    ["not an error", "1213", "other"],
    ["nothing", undefined, "other"],
  ] as const)("returns the right kind for: %s", (_name, error, expected) => {
    expect(classifyDatabaseError(error)).toBe(expected);
  });

  test("a chain that bites its own tail ends", () => {
    const error = withFields({});
    error.cause = error;
    expect(classifyDatabaseError(error)).toBe("other");
  });

  test("only what may pass by itself becomes SERVICE_UNAVAILABLE", () => {
    const answer = toServiceUnavailable(sqlError(1213));
    expect(answer).toMatchObject({
      code: "SERVICE_UNAVAILABLE",
      details: { retryAfterSeconds: 1 },
    });
    expect(classifyDatabaseError(answer)).toBe("conflict");
    expect(toServiceUnavailable(sqlError(1062))).toBeUndefined();
    expect(toServiceUnavailable(new TypeError("x"))).toBeUndefined();
  });
});

describe("retryConflicts", () => {
  test("runs again after conflicts, and answers the first success", async () => {
    const seen: number[] = [];
    const answer = await retryConflicts((attempt) => {
      seen.push(attempt);
      return attempt < 3 ? Promise.reject(sqlError(1213)) : Promise.resolve("done");
    });
    expect([answer, seen]).toEqual(["done", [1, 2, 3]]);
  });

  test("gives up after its attempts, and after its time", async () => {
    let calls = 0;
    const always = () => {
      calls += 1;
      return Promise.reject(sqlError(1213));
    };
    await expect(retryConflicts(always, { attempts: 4 })).rejects.toMatchObject({ errno: 1213 });
    expect(calls).toBe(4);
    calls = 0;
    await expect(
      retryConflicts(always, { attempts: 1_000, firstPauseMs: 50, budgetMs: 200 }),
    ).rejects.toMatchObject({ errno: 1213 });
    expect(calls).toBeLessThan(30);
    calls = 0;
    const slow = async () => {
      calls += 1;
      await sleep(40);
      throw sqlError(1205);
    };
    await expect(retryConflicts(slow, { longestTryMs: 20 })).rejects.toMatchObject({ errno: 1205 });
    expect(calls).toBe(1);
  });

  test("anything else is not repeated", async () => {
    let calls = 0;
    const once = () => {
      calls += 1;
      return Promise.reject(new UnknownOutcomeError(sqlError(45009)));
    };
    await expect(retryConflicts(once)).rejects.toBeInstanceOf(UnknownOutcomeError);
    expect(calls).toBe(1);
  });
});

describe("the writers' turn", () => {
  test("goes to one at a time in the order they came, and ending a turn twice ends no other", async () => {
    const mutex = createMutex(10);
    const order: number[] = [];
    const first = await mutex.acquire(100);
    const others = [1, 2, 3].map(async (number) => {
      const end = await mutex.acquire(1_000);
      order.push(number);
      end();
      end();
    });
    expect(order).toEqual([]);
    first();
    first();
    await Promise.all(others);
    expect(order).toEqual([1, 2, 3]);
    await expect(mutex.acquire(0)).resolves.toBeTypeOf("function");
  });

  test("who waits too long is refused and never gets the turn; one too many is refused at once", async () => {
    const mutex = createMutex(1);
    const end = await mutex.acquire(100);
    const late = mutex.acquire(20);
    await expect(mutex.acquire(1_000)).rejects.toBeInstanceOf(MutexTimeoutError);
    await expect(late).rejects.toBeInstanceOf(MutexTimeoutError);
    end();
    (await mutex.acquire(100))();
  });
});
