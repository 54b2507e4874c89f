import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { available } from "../support/backend.ts";
import { useBackend } from "../support/use-app.ts";
import { uniqueKey } from "../support/databases.ts";

describe("locks", () => {
  const subject = useBackend(available);
  test("one of many gets a key; the next gets it after release", async () => {
    const { locks } = subject.backend;
    const key = uniqueKey();
    const leases = await Promise.all(Array.from({ length: 10 }, () => locks.acquire([key], 5_000)));
    const winners = leases.filter((lease) => lease.acquired.has(key));
    expect(winners).toHaveLength(1);
    await winners[0]?.release();
    const next = await locks.acquire([key], 5_000);
    expect(next.acquired.has(key)).toBe(true);
    await next.release();
  });

  test("takes what is free of many keys and says which", async () => {
    const { locks } = subject.backend;
    const [a, b, c] = [uniqueKey(), uniqueKey(), uniqueKey()] as const;
    const first = await locks.acquire([b], 5_000);
    const second = await locks.acquire([a, b, c, a], 5_000);
    expect([...second.acquired].sort()).toEqual([a, c].sort());
    await second.release();
    expect((await locks.acquire([a, c], 5_000)).acquired.size).toBe(2);
    await first.release();
    expect((await locks.acquire([b], 5_000)).acquired.size).toBe(1);
  });

  test("releasing a lock that expired and was taken by another leaves theirs alone", async () => {
    const { locks } = subject.backend;
    const key = uniqueKey();
    const expired = await locks.acquire([key], 30);
    await sleep(120);
    const holder = await locks.acquire([key], 5_000);
    expect(holder.acquired.has(key)).toBe(true);
    await expired.release();
    expect((await locks.acquire([key], 5_000)).acquired.has(key)).toBe(false);
    await holder.release();
  });

  test("takes nothing when asked for no keys, and may be released twice", async () => {
    const lease = await subject.backend.locks.acquire([], 1_000);
    expect(lease.acquired.size).toBe(0);
    await lease.release();
    await lease.release();
  });

  // Exception: in-process locks belong to their instance; two embedded processes are only kept apart by the database.
  test("hold between instances where there is Redis, and only there", async () => {
    const another = await subject.openAnother();
    const key = uniqueKey();
    const lease = await subject.backend.locks.acquire([key], 5_000);
    const other = await another.locks.acquire([key], 5_000);
    expect(other.acquired.has(key)).toBe(!available.redis);
    await lease.release();
    await other.release();
  });
});
