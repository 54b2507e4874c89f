// Joined reads: as fresh as separate reads, and far fewer.
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { joinReads } from "../../server/lib/join-reads.ts";

const late = () => new Error("late");

/** A table whose reads take `readMs`, with a record of what was read. */
function openTable(readMs: () => number) {
  const rows = new Map<string, number>();
  const asked: (readonly string[])[] = [];
  return {
    rows,
    asked,
    async readMany(keys: readonly string[]) {
      asked.push(keys);
      // The snapshot that the statement sees.
      const seen = new Map(
        keys.flatMap((key) => (rows.has(key) ? [[key, rows.get(key) ?? 0]] : [])),
      );
      await sleep(readMs());
      return seen as ReadonlyMap<string, number>;
    },
  };
}

describe("joined reads", () => {
  it("show every caller what was there when they called, for any arrivals", async () => {
    const call = fc.record({ key: fc.constantFrom("a", "b", "c"), afterMs: fc.nat({ max: 3 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(call, { maxLength: 25 }), async (calls) => {
        const { rows, readMany } = openTable(() => Math.random() * 3);
        const read = joinReads({ readMany, most: 2, withinMs: 5_000, timeoutError: late });
        await Promise.all(
          calls.map(async ({ key, afterMs }, version) => {
            await sleep(afterMs);
            const written = Math.max(version, rows.get(key) ?? 0);
            rows.set(key, written);
            expect(await read(key)).toBeGreaterThanOrEqual(written);
          }),
        );
      }),
      { numRuns: 50 },
    );
  });

  it("are one statement for all who come while another is under way, each key once", async () => {
    const { rows, asked, readMany } = openTable(() => 10);
    rows.set("a", 1).set("b", 2);
    const read = joinReads({ readMany, most: 64, withinMs: 5_000, timeoutError: late });
    const first = read("a");
    await sleep(1);
    const others = await Promise.all(["a", "b", "b", "nobody"].map(read));
    expect([await first, ...others]).toEqual([1, 1, 2, 2, null]);
    expect(asked).toEqual([["a"], ["a", "b", "nobody"]]);
  });

  it("go on without one that hangs", async () => {
    const { rows, readMany } = openTable(() => 1);
    rows.set("a", 1);
    let isFirst = true;
    const hangingOnce = (keys: readonly string[]) => {
      if (!isFirst) return readMany(keys);
      isFirst = false;
      return new Promise<never>(() => undefined);
    };
    const read = joinReads({
      readMany: hangingOnce,
      most: 64,
      withinMs: 2_000,
      timeoutError: late,
    });
    await expect(read("a")).rejects.toThrow("late");
    expect(await read("a")).toBe(1);
  });

  it("are no larger than one statement may be", async () => {
    const { asked, readMany } = openTable(() => 1);
    const read = joinReads({ readMany, most: 3, withinMs: 5_000, timeoutError: late });
    await Promise.all(["a", "b", "c", "d", "e", "f", "g"].map(read));
    expect(asked.map(({ length }) => length)).toEqual([3, 3, 1]);
  });

  it("fail for those who shared the read, and for nobody after them", async () => {
    let fails = true;
    const readMany = async () => {
      await sleep(1);
      if (fails) throw new Error("away");
      return new Map([["a", 1]]);
    };
    const read = joinReads({ readMany, most: 64, withinMs: 5_000, timeoutError: late });
    await expect(Promise.all([read("a"), read("b")])).rejects.toThrow("away");
    fails = false;
    expect(await read("a")).toBe(1);
  });

  it("end in timeoutError for whoever waits too long, the read before theirs included", async () => {
    const readMany = () => new Promise<never>(() => {});
    const read = joinReads({ readMany, most: 64, withinMs: 20, timeoutError: late });
    const first = read("a");
    await sleep(1);
    await expect(first).rejects.toThrow("late");
    await expect(read("b")).rejects.toThrow("late");
  });
});
